// SPDX-License-Identifier: BSD-3-Clause
// An end of ours with all that a node decides about paths: what it seals and writes is opened and
// read here, and handed to the simulated internet as its own messages.
#pragma once

#include "agent/node/paths.h"
#include "tests/sim/end.h"
#include "tests/support/derp_login.h"

namespace sallyport::sim {

class WholeEnd final : public End {
 public:
  /// `other`: the other end's name, whose boxes are opened here.
  WholeEnd(Net& net, Host& host, uint8_t name, uint16_t home, uint8_t other);
  void start() override;
  void know(const PathPeer& other) override;
  void send_data() override;
  [[nodiscard]] std::optional<Endpoint> direct() const override { return kernel_.endpoint(); }
  void on_network_changed() override;
  [[nodiscard]] const Paths& paths() const { return paths_; }

 private:
  void on_udp(const Datagram& datagram) override;
  void on_relayed(uint16_t region, const Payload& payload) override;
  void on_stun(const StunResponse& response);
  void output(const WireguardPacket& packet);
  void input(const WireguardPacket& packet);
  void run(PathsActions actions);
  void act(const SendDatagram& send);
  void act(const SendPacketBy& send);
  void act(const DialRegion& dial);
  void act(const SendFrame& send);
  void act(const StepKernel& step);
  void act(const Observe& observe);
  void wake();

  /// Between the other end and us, as it has it.
  [[nodiscard]] Bytes seal(const disco::Message& message) const;
  [[nodiscard]] std::optional<Payload> opened(ByteView datagram);

  Paths paths_;
  PrivateKey other_disco_;
  BoxKey box_;
  Bytes plain_;
  KernelPeer kernel_;
  PathObserved observed_;
  DerpLogin server_;
  uint64_t dial_ = 0;
  std::optional<Instant> waking_;
};

}  // namespace sallyport::sim
