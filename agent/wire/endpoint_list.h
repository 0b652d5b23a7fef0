// SPDX-License-Identifier: BSD-3-Clause
/// Endpoints as disco and DERP carry them: an address of 16 bytes (IPv4 as ::ffff:a.b.c.d) and a
/// port, big-endian: 18 bytes each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "agent/base/bytes.h"
#include "agent/base/span_writer.h"
#include "agent/model/endpoint.h"

namespace sallyport {

constexpr size_t kWireEndpoint = 18;

inline Endpoint read_endpoint(ByteReader& in) {
  Endpoint out;
  out.address.bytes = in.array<16>();
  out.port = in.u16();
  return out;
}
inline void write_endpoint(SpanWriter& out, const Endpoint& endpoint) {
  out.bytes(endpoint.address.bytes);
  out.u16(endpoint.port);
}

/// Endpoints in a buffer of somebody else, which must outlive it.
class EndpointList {
 public:
  EndpointList() = default;
  /// Whole endpoints only: bytes past the last one are left out.
  explicit EndpointList(ByteView raw) : raw_(raw.first(raw.size() - raw.size() % kWireEndpoint)) {}
  /// Writes them to `buffer` and borrows it. Those that do not fit are left out.
  EndpointList(std::span<const Endpoint> endpoints, std::span<uint8_t> buffer) {
    SpanWriter out(buffer);
    for (const Endpoint& endpoint :
         endpoints.first(std::min(endpoints.size(), buffer.size() / kWireEndpoint))) {
      write_endpoint(out, endpoint);
    }
    raw_ = out.written();
  }

  [[nodiscard]] size_t size() const { return raw_.size() / kWireEndpoint; }
  [[nodiscard]] bool empty() const { return raw_.empty(); }
  [[nodiscard]] Endpoint operator[](size_t i) const {
    ByteReader in(raw_.subspan(i * kWireEndpoint, kWireEndpoint));
    return read_endpoint(in);
  }
  [[nodiscard]] ByteView raw() const { return raw_; }
  friend bool operator==(const EndpointList& a, const EndpointList& b) {
    return std::ranges::equal(a.raw_, b.raw_);
  }

 private:
  ByteView raw_;
};

}  // namespace sallyport
