"""Was a block's answer whole and unaltered? Hashes recomputed from what came; pure, no I/O."""

from __future__ import annotations

from defiwatch.collectors.verify.block import Verdict, logs_of, same_logs, verify_block, verify_header
from defiwatch.collectors.verify.bloom import bloom_of, lacking, strangers
from defiwatch.collectors.verify.header import HeaderShapeError, header_hash, unknown_fields
from defiwatch.collectors.verify.receipts import Receipt, ReceiptTypeError, encode_receipt, receipts_root

__all__ = [
    "HeaderShapeError",
    "Receipt",
    "ReceiptTypeError",
    "Verdict",
    "bloom_of",
    "encode_receipt",
    "header_hash",
    "lacking",
    "logs_of",
    "receipts_root",
    "same_logs",
    "strangers",
    "unknown_fields",
    "verify_block",
    "verify_header",
]
