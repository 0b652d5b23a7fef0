// SPDX-License-Identifier: BSD-3-Clause
#include "agent/io/tls/tls_stream.h"

#include <cerrno>
#include <utility>

namespace sallyport::io {

// Held by the TlsStream, and by a callback while it runs: the owner may let go in it.
struct TlsStream::State : std::enable_shared_from_this<State> {
  State(TlsEngine machine, TlsCallbacks callbacks)
      : engine(std::move(machine)), on(std::move(callbacks)) {}

  void on_ciphertext(ByteView bytes);
  void on_tcp_end(const std::optional<Error>& error);
  void on_room();
  void flush();
  void end(const std::optional<Error>& error);
  [[nodiscard]] bool abandoned() const { return weak_from_this().use_count() == 1; }

  TlsEngine engine;
  TlsCallbacks on;
  Stream stream;
  Bytes held;  // ciphertext that the stream had no room for
  bool was_ready = false;
  bool ended = false;
  bool wants_writable = false;
  bool shutdown_after_held = false;
};

void TlsStream::State::flush() {
  Bytes out = engine.take_outgoing();
  if (held.empty()) {
    held = std::move(out);
  } else {
    held.insert(held.end(), out.begin(), out.end());
  }
  if (!held.empty()) {
    const Offer offer = stream.write(held);
    if (offer == Offer::kFull) return;
    held.clear();
  }
  if (std::exchange(shutdown_after_held, false)) stream.shutdown();
}

void TlsStream::State::end(const std::optional<Error>& error) {
  if (std::exchange(ended, true)) return;
  on.on_end(error);
}

void TlsStream::State::on_ciphertext(ByteView bytes) {
  if (ended) return;
  const auto received = engine.receive(bytes);
  flush();
  if (!was_ready && engine.established()) {
    was_ready = true;
    on.on_ready();
    if (abandoned()) return;
  }
  const Bytes plaintext = engine.take_plaintext();
  if (!plaintext.empty()) on.on_data(plaintext);
  if (abandoned()) return;
  if (!received) {
    end(received.error());
  } else if (engine.peer_closed()) {
    end(std::nullopt);
  }
}

void TlsStream::State::on_tcp_end(const std::optional<Error>& error) {
  if (error) return end(error);
  end(Error{{ECONNABORTED, std::generic_category()},
            was_ready ? "TLS ended without close_notify" : "TLS handshake"});
}

void TlsStream::State::on_room() {
  flush();
  if (held.empty() && std::exchange(wants_writable, false)) on.on_writable();
}

Result<TlsStream> TlsStream::adopt(Loop& loop, Fd socket, TlsEngine engine,
                                   TlsCallbacks callbacks) {
  auto state = std::make_shared<State>(std::move(engine), std::move(callbacks));
  const std::weak_ptr<State> weak = state;
  state->stream = TRY(Stream::adopt(loop, std::move(socket),
                                    {.on_data =
                                         [weak](ByteView bytes) {
                                           if (const auto self = weak.lock())
                                             self->on_ciphertext(bytes);
                                         },
                                     .on_end =
                                         [weak](const std::optional<Error>& error) {
                                           if (const auto self = weak.lock())
                                             self->on_tcp_end(error);
                                         },
                                     .on_writable =
                                         [weak] {
                                           if (const auto self = weak.lock()) self->on_room();
                                         }},
                                    2 * kMaxWrite));
  state->flush();  // a client's first word
  return TlsStream{std::move(state)};
}

Offer TlsStream::write(ByteView bytes) {
  if (!state_) return Offer::kClosed;
  State& state = *state_;
  if (bytes.size() > kMaxWrite) return Offer::kTooBig;
  if (!state.engine.established()) return state.ended ? Offer::kClosed : Offer::kFull;
  if (!state.held.empty()) {
    state.wants_writable = true;
    return Offer::kFull;
  }
  if (!state.engine.write(bytes)) return Offer::kClosed;
  state.flush();
  return Offer::kTaken;
}

void TlsStream::shutdown() {
  if (!state_) return;
  state_->engine.close();
  state_->shutdown_after_held = true;
  state_->flush();
}

void TlsStream::pause() {
  if (state_) state_->stream.pause();
}
void TlsStream::resume() {
  if (state_) state_->stream.resume();
}
bool TlsStream::ready() const { return state_ && state_->engine.established(); }
std::string TlsStream::alpn() const { return state_ ? state_->engine.alpn() : std::string{}; }
std::vector<Bytes> TlsStream::peer_certificates() const {
  return state_ ? state_->engine.peer_certificates() : std::vector<Bytes>{};
}
bool TlsStream::is_tls13() const { return state_ && state_->engine.is_tls13(); }
size_t TlsStream::queued_bytes() const {
  return state_ ? state_->held.size() + state_->stream.queued_bytes() : 0;
}

}  // namespace sallyport::io
