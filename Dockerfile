# An image with firmwide installed, for `docker run` and for Kubernetes (kuberay/): docker build -t firmwide .
FROM python:3.11-slim
# The compiler is for the C++ core, which is compiled at first use and kept; KubeRay's probes need wget.
RUN apt-get update -q && apt-get install -qy --no-install-recommends g++ wget && rm -rf /var/lib/apt/lists/*
WORKDIR /firmwide
# PyTorch's CPU build; for GPUs leave the index out.
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt '.[import,office,envs]'
RUN useradd --create-home ray && mkdir /runs && chown ray /runs
USER ray
WORKDIR /runs
ENV OMP_NUM_THREADS=1
# Compiled once, into the image.
RUN firmwide train toy --budget 2e4 --backend local --episodes 50 --run /tmp/first && rm -r /tmp/first
CMD ["firmwide", "--help"]
