// SPDX-License-Identifier: BSD-3-Clause
/// A window of time around an event, in which established traffic must lose nothing.
#pragma once

#include <functional>

#include "tests/support/scene/office.h"

namespace sallyport::scene {

/// Between laptop and server a UDP stream at 1,000 packets a second or more each way, judged by its
/// numbers, and a TCP connection, judged by TcpRetransSegs of both ends. Expectations of its own;
/// the rules must allow both ports.
class Window {
 public:
  /// Opens when both flow.
  Window(const Office& office, const Side& side, uint16_t udp_port, const EchoServer& tcp);
  /// What happens in the window: both flow before it, while it, and after it.
  void around(const std::function<void()>& event);
  /// Closes it, once, and judges.
  void close();
  /// The UDP stream goes on.
  bool flowing(uint64_t packets) { return stream_.flowing(packets); }

 private:
  static constexpr double kLeastRate = 1000;

  [[nodiscard]] std::pair<uint64_t, uint64_t> retransmits() const;
  void expect_flowing(const char* when);

  const Office& office_;
  Stream stream_;
  TcpPump pump_;
  Stream::Report opened_;
  std::pair<uint64_t, uint64_t> retransmits_;
  int events_ = 0;
};

}  // namespace sallyport::scene
