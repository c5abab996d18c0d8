// Work that is done by some threads side by side.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>

// Threads that wait for work; to make one takes as long as a small piece of it. They end with the process.
class Helpers {
 public:
  // `work` on up to `threads` threads, this one among them, as many as can be had.
  static void with(long threads, const std::function<void()> &work) {
    static Helpers *helpers = new Helpers;
    static std::mutex one;  // piece of work at a time; who comes meanwhile does it alone
    const std::unique_lock<std::mutex> free(one, std::try_to_lock);
    if (threads < 2 || !free) return work();
    if (helpers->process_ != getpid()) helpers = new Helpers;  // after a fork nobody is left
    helpers->share(threads - 1, work);
  }

 private:
  void share(long others, const std::function<void()> &work) {
    std::unique_lock<std::mutex> lock(mutex_);
    try {
      for (; there_ < others; there_++) std::thread(&Helpers::wait, this).detach();
    } catch (const std::system_error &) {  // those that there are do it
    }
    work_ = &work, wanted_ = std::min(others, there_);
    lock.unlock();
    come_.notify_all();
    work();
    lock.lock();
    wanted_ = 0;  // who has not come yet is not needed
    gone_.wait(lock, [&] { return working_ == 0; });
  }

  void wait() {
    for (std::unique_lock<std::mutex> lock(mutex_);;) {
      come_.wait(lock, [&] { return wanted_ > 0; });
      wanted_--, working_++;
      const auto &work = *work_;
      lock.unlock();
      work();
      lock.lock();
      if (--working_ == 0) gone_.notify_one();
    }
  }

  const pid_t process_ = getpid();
  std::mutex mutex_;
  std::condition_variable come_, gone_;
  const std::function<void()> *work_ = nullptr;
  long there_ = 0, wanted_ = 0, working_ = 0;  // threads; that are still to come; that are at work
};

constexpr double kWorth = 5e4;  // rows of copies in all periods that are worth a thread: a fifth of a millisecond

// `work(next)` in every thread; each call of `next` takes one of `parts`, and one behind the last when none is left.
// `size` is how much all of it is.
template <class Work>
inline void side_by_side(long threads, long parts, double size, const Work &work) {
  std::atomic<long> taken{0};
  Helpers::with(std::min({threads, parts, (long)(size / kWorth)}), [&] { work([&] { return taken++; }); });
}
