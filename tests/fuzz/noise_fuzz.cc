// SPDX-License-Identifier: BSD-3-Clause
/// Both ends of the control protocol's handshake, its records and what may come before HTTP/2. The
/// first byte says which.
#include <algorithm>
#include <cstdlib>

#include "agent/wire/noise/early.h"
#include "agent/wire/noise/handshake.h"

namespace {

using namespace sallyport;

void check(bool good) {
  if (!good) std::abort();
}

// The keys of tests/vectors/noise.txt: no mutation finds a forgery, so the corpus must hold what is
// good.
PrivateKey counting_key(uint8_t start) {
  std::array<uint8_t, 32> raw{};
  for (uint8_t& byte : raw) byte = start++;
  return clamped(raw);
}

void check_accept(ByteView initiation) {
  const auto accepted = noise::accept(initiation, counting_key(0x70), counting_key(0x90));
  if (accepted) check(noise::claimed_version(initiation) == accepted->version);
}

void check_response(ByteView response) {
  noise::Initiator initiator(counting_key(0x20), {counting_key(0x70).public_key().bytes}, 142,
                             counting_key(0x80));
  check(noise::Initiator::response_size(response) >= 3);
  if (!initiator.on_response(response)) (void)noise::Initiator::error_text(response);
}

void check_records(ByteView stream) {
  noise::RecordKey key{Secret<32>()};
  Bytes plain(noise::kMaxPlain);
  for (;;) {
    const auto record = noise::next_record(stream);
    if (!record || !*record) return;
    check((*record)->size() <= noise::kMaxRecord);
    const auto opened = key.open(**record, plain);
    if (opened) check(opened->size() == (*record)->size() - 19);
    stream = stream.subspan((*record)->size());
  }
}

void check_early(ByteView stream) {
  if (stream.size() < noise::kEarlyHead) return;
  (void)noise::parse_early_head(stream.first<noise::kEarlyHead>());
  const auto payload = noise::parse_early_payload(stream);
  if (!payload) return;
  const Bytes written = noise::write_early_payload(*payload);
  check(noise::parse_early_payload(ByteView(written).subspan(noise::kEarlyHead)) == payload);
}

void check_header(ByteView text) {
  const auto initiation =
      noise::parse_handshake_header({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!initiation) return;
  check(std::ranges::equal(noise::handshake_header(*initiation), text, {},
                           [](char c) { return static_cast<uint8_t>(c); }));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr std::array kChecks{check_accept, check_response, check_records, check_early,
                               check_header};
  kChecks[data[0] % kChecks.size()]({data + 1, size - 1});
  return 0;
}
