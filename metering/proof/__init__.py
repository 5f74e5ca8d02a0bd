"""Proof: a signed Merkle root over who was counted on a closed day, which a tenant checks by itself."""
