// SPDX-License-Identifier: BSD-3-Clause
/// nftables through libnftables: our own table, and a look at other people's forward chains.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/base/result.h"
#include "agent/model/kernel_state.h"
#include "kmod-glue/nft_forward.h"

struct nft_ctx;

namespace sallyport {

/// Belongs to the network namespace where it was opened.
class Nft {
 public:
  static Result<Nft> open();

  /// Makes our table anew in one transaction; conntrack's NAT mappings of flows under way stay.
  Result<void> replace(const NftTable& table);
  /// Succeeds too if there is none.
  Result<void> remove();
  /// Nothing: no table of ours. An empty NftTable (no wish is equal to it): there is one, but it is
  /// not as replace() left it, or this process has not written it yet.
  Result<std::optional<NftTable>> observe();

  /// Chains of other tables with policy drop or any rule.
  Result<std::vector<ForeignForwardChain>> foreign_forward_chains();

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };
  /// What we put there and how the kernel lists it.
  struct Written {
    NftTable table;
    std::string listing;
  };
  explicit Nft(nft_ctx* context) : context_(context) {}
  Result<std::string> run(const std::string& commands, const std::string& doing);
  Result<std::optional<std::string>> list_ours();

  std::unique_ptr<nft_ctx, Free> context_;
  std::optional<Written> written_;
};

}  // namespace sallyport
