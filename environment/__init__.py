"""The firm and its world: firm files, probability laws, the supply network and the batched simulator."""

from environment.compiled import BestOffer, CompiledWorld, ForecastUpTo, OrderUpTo
from environment.firm import Firm
from environment.firm_file import built_in_firms, load_firm, parse_firm
from environment.network import Network
from environment.state import Exogenous, Feedback, Outcome, State
from environment.toolchain import NotCompiledError
from environment.world import World

__all__ = [
    "BestOffer",
    "CompiledWorld",
    "Exogenous",
    "Feedback",
    "Firm",
    "ForecastUpTo",
    "Network",
    "NotCompiledError",
    "OrderUpTo",
    "Outcome",
    "State",
    "World",
    "built_in_firms",
    "load_firm",
    "parse_firm",
]
