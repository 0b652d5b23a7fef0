// SPDX-License-Identifier: BSD-3-Clause
/// Traffic that knows what it lost: numbered datagrams both ways, and TCP that goes to and fro.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/fd.h"
#include "tests/support/scene/net.h"
#include "tests/support/scene/traffic.h"

namespace sallyport::scene {

/// Small numbered datagrams both ways at a steady rate. Loss is judged by the numbers alone.
class Stream {
 public:
  struct Ends {
    std::string a_netns, a_address, b_netns, b_address;
    uint16_t b_port = 0;
  };
  /// b_address is where `b` listens and where a sends; b sends to where a's packets come from.
  /// `window`: packets that may be under way in each direction. A machine too busy for the rate
  /// then slows the stream down instead of overflowing a queue, so that every loss is somebody's
  /// doing. 0: no window, for a stream that is to be cut and must go on sending all the same.
  explicit Stream(const Ends& ends, int per_second = 1400, uint64_t window = 400);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  /// Waits until both directions have received `packets` more.
  bool flowing(uint64_t packets = 50, std::chrono::milliseconds limit = 30s);
  struct Direction {
    uint64_t sent = 0;  // numbers that are, or are being, sent: any larger one is sent later
    uint64_t received = 0;
    uint64_t duplicates = 0;
    uint64_t highest = 0;  // number of a packet received; numbers count from 0
    Clock::time_point last_received{};
  };
  struct Report {
    Direction a_to_b, b_to_a;
    Clock::time_point at;
    [[nodiscard]] uint64_t lost() const {
      return a_to_b.sent - a_to_b.received + b_to_a.sent - b_to_a.received;
    }
    /// Packets a second that the slower direction has sent since then.
    [[nodiscard]] double rate_since(const Report& earlier) const;
    [[nodiscard]] std::string text() const;
  };
  [[nodiscard]] Report now() const;
  /// Stops sending, waits for what is under way (not at all if nothing is missing), and reports.
  Report finish(std::chrono::milliseconds patience = 3s);
  /// Only one side goes on sending.
  void silence_a() { a_sends_ = false; }
  void silence_b() { b_sends_ = false; }

 private:
  struct Side {
    Fd socket;
    std::atomic<uint64_t> sent{0}, received{0}, duplicates{0}, highest{0};
    std::atomic<int64_t> last{0};
    std::vector<bool> seen{};
  };
  void send_loop();
  void send_some(Side& from, const Side& to, const SocketAddress& where, uint64_t most);
  void receive_loop(Side& to);
  Side a_, b_;
  int per_second_;
  uint64_t window_;
  std::atomic<bool> sending_{true}, running_{true}, a_sends_{true}, b_sends_{true};
  const SocketAddress b_address_;
  std::mutex mutex_;
  SocketAddress a_seen_as_;  // length 0: not seen yet
  std::thread sender_, a_receiver_, b_receiver_;
};

/// A TCP connection over which bytes go to an EchoServer and back all the time.
class TcpPump {
 public:
  explicit TcpPump(Connection connection);
  TcpPump(const TcpPump&) = delete;
  TcpPump& operator=(const TcpPump&) = delete;
  ~TcpPump();
  /// Bytes that have come back.
  [[nodiscard]] uint64_t echoed() const { return echoed_; }
  /// Ends after the round under way. False: some round did not come back in time.
  bool finish();

 private:
  Connection connection_;
  std::atomic<bool> running_{true}, good_{true};
  std::atomic<uint64_t> echoed_{0};
  std::thread thread_;
};

}  // namespace sallyport::scene
