// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/signal.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace sallyport::io {

Result<SignalSet> SignalSet::create(Loop& loop, std::initializer_list<int> signals,
                                    Callback<void(int)> on_signal) {
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int signal : signals) sigaddset(&wanted, signal);
  Fd fd{::signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!fd.valid()) return fail(errno, "signalfd");
  sigset_t before;
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &wanted, &before); error != 0) {
    return fail(error, "pthread_sigmask");
  }
  const int raw = fd.raw();
  // One a call: the callback may destroy us, and with us the descriptor.
  Readable readable{loop, std::move(fd), [raw, on_signal = std::move(on_signal)](uint32_t) {
                      signalfd_siginfo info{};
                      if (::read(raw, &info, sizeof info) == sizeof info) {
                        on_signal(static_cast<int>(info.ssi_signo));
                      }
                    }};
  return SignalSet{std::move(readable), before};
}

SignalSet::SignalSet(SignalSet&& other) noexcept
    : readable_(std::move(other.readable_)),
      before_(other.before_),
      owns_mask_(std::exchange(other.owns_mask_, false)) {}

SignalSet::~SignalSet() {
  if (owns_mask_) (void)::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace sallyport::io
