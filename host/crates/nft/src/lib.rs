//! nftables JSON: a rule set becomes one transaction, and what nft lists becomes a rule set again.
