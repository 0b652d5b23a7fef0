// SPDX-License-Identifier: BSD-3-Clause
#include "agent/wire/tailcfg/json_writer.h"

#include <sodium.h>

#include "agent/wire/tailcfg/rfc3339.h"

namespace sallyport::tailcfg {

Json write(const Bytes& value) {
  std::string out(sodium_base64_encoded_len(value.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), value.data(), value.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();  // its zero
  return out;
}

Json write(const RawJson& value) {
  Json out = Json::parse(value.text, nullptr, false);
  if (out.is_discarded()) return nullptr;
  return out;
}

Json write(const std::vector<RawJson>& values) {
  if (values.empty()) return nullptr;
  Json out = Json::array();
  for (const RawJson& value : values) out.push_back(write(value));
  return out;
}

Json write(const IpAddress& value) { return value.text(); }
Json write(const Prefix& value) {
  // A lone address has no length in our text, and always one in theirs.
  return value.address.text() + "/" + std::to_string(value.length);
}
Json write(const Endpoint& value) { return value.text(); }
Json write(const NodeKey& value) { return node_key_text(value); }
Json write(const MachineKey& value) { return value.text(); }
Json write(const DiscoKey& value) { return value.text(); }
Json write(const ChallengeKey& value) { return value.text(); }
Json write(const LockKey& value) { return value.text(); }
Json write(const std::optional<WallTime>& value) { return write_rfc3339(value); }

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace sallyport::tailcfg
