"""`defiwatch prove`: every term of an account's health factor beside the contract's own answer, at one block.

Ours is read some blocks earlier and follows from events from there on, so that what is compared was worked out and not
copied; the contract's answers are asked for the comparison alone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from defiwatch.commands.chains import answered
from defiwatch.commands.names import address_of
from defiwatch.commands.shapes import ProofLine, term
from defiwatch.config import Chain, Config
from defiwatch.domain.frames import CallResult
from defiwatch.domain.ids import Address, short
from defiwatch.domain.units import iso
from defiwatch.errors import DifferenceError, ExitCode, SourceError, UsageError
from defiwatch.protocols.abi import Call
from defiwatch.protocols.spec import Instance
from defiwatch.state.lending.proofs import Proof, Question, proofs

BACK = 1_000
"""Blocks that our state follows from events before it is compared, where an endpoint still has the state then."""


def run(
    config: Config,
    data_dir: Path,  # noqa: ARG001 - every command is handed it
    address: str,
    *,
    chain: str | None = None,
    block: int | None = None,
    as_json: bool = False,
    back: int = BACK,
) -> int:
    """Print the proof of each market. DifferenceError, which names the terms, if any difference is not 0."""
    lines = asyncio.run(_prove(config, address, chain=chain, block=block, back=back))
    for line, moment in lines:
        if as_json:
            sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
        else:
            print("\n".join(_table(line, moment)))  # noqa: T201 - stdout is data
    sys.stdout.flush()
    wrong = [_difference(line) for line, _ in lines if not line.equal]
    if wrong:
        raise DifferenceError("; ".join(wrong))
    return ExitCode.OK


async def _prove(
    config: Config, name: str, *, chain: str | None, block: int | None, back: int
) -> list[tuple[ProofLine, int]]:
    from defiwatch.engine.glimpse import lenders

    account = await address_of(config, name)
    asked = lenders(config, chain)
    found, faults = await answered(_of_chain(one, instances, account, block, back) for one, instances in asked)
    if faults:
        raise faults[0]
    if not found:
        raise UsageError("none of the lending markets that the configuration names is on its chain at that block")
    mine = [item for item in found if _concerns(item[0])]
    return mine or found[:1]


async def _of_chain(
    chain: Chain, instances: Sequence[Instance], account: Address, block: int | None, back: int
) -> list[tuple[ProofLine, int]]:
    from defiwatch.collectors.chain.glance import Glance
    from defiwatch.engine.glimpse import Glimpse

    glimpse = Glimpse(chain, instances, (account,))
    async with Glance(chain) as glance:
        header = await glimpse.follow(glance, block, back=back)
        wanted = [
            proof for one in glimpse.intake.instances for proof in proofs(one, glimpse.intake.book, glimpse.at, account)
        ]
        calls = list(dict.fromkeys(question.call for proof in wanted for question in proof.questions))
        told = {(answer.to, answer.data): answer for answer in await glance.reads(calls, header)}
    for text in glimpse.intake.book.take_notices():
        print(f"defiwatch: {chain.name}: {text}", file=sys.stderr)  # noqa: T201 - stderr is words
    at = glimpse.at
    return [
        (
            _line(
                proof,
                told,
                chain_id=chain.chain_id,
                account=account,
                block=at.number,
                block_hash=at.hash,
                since=glimpse.since,
            ),
            at.time,
        )
        for proof in wanted
    ]


def _line(
    proof: Proof,
    told: Mapping[tuple[str, str], CallResult],
    *,
    chain_id: int,
    account: Address,
    block: int,
    block_hash: str,
    since: int | None,
) -> ProofLine:
    terms = []
    unknown: list[str] = []
    equal = True
    for question in proof.questions:
        answer = told.get(_key(question.call))
        if answer is None:
            raise SourceError(f"no endpoint answered {question.name} at block {block}")
        contract = _value(question, answer)
        if question.ours is None or contract is None:
            if question.ours is None and contract is None:
                reason = f"{question.name}: {question.why or 'both refuse to answer'}"
            else:
                equal = False
                known = f"ours {question.ours}" if contract is None else f"the contract says {contract}"
                refused = "the contract reverts" if contract is None else f"ours is not known ({question.why})"
                reason = f"{question.name}: {known}, {refused}"
            unknown.append(reason)
            continue
        if question.quiet and not question.ours and not contract:
            continue
        terms.append(term(question.name, question.ours, contract))
        equal = equal and question.ours == contract
    return ProofLine(
        chain_id=chain_id,
        protocol=proof.protocol,
        market=proof.market,
        account=account,
        block=block,
        block_hash=block_hash,
        equal=equal,
        terms=tuple(terms),
        unknown="; ".join(unknown),
        since=since,
        owns=any(one.owned and (one.ours or _value(one, told[_key(one.call)])) for one in proof.questions),
    )


def _key(call: Call) -> tuple[str, str]:
    return call.to, call.data


def _value(question: Question, answer: CallResult) -> int | None:
    """The contract's own number; None where it reverts."""
    values = question.function.result(answer)
    return None if values is None else int(values[question.place])


def _concerns(line: ProofLine) -> bool:
    """Whether the account has anything there, or something is wrong."""
    return line.owns or not line.equal


def _difference(line: ProofLine) -> str:
    """Where ours is not the contract's, in words."""
    wrong = [
        f"{one.name} (ours {one.ours}, the contract's {one.contract}, difference {one.difference})"
        for one in line.terms
        if one.difference != "0"
    ]
    words = ", ".join(wrong) or line.unknown
    return f"{line.protocol} {short(line.market)} at block {line.block} differs: {words}"


def _table(line: ProofLine, moment: int) -> list[str]:
    since = "" if line.since in (None, line.block) else f", from events since block {line.since}"
    lines = [
        f"{line.account}  {line.protocol} {short(line.market)}, chain {line.chain_id}",
        f"  block {line.block}, {iso(moment)}{since}",
    ]
    rows = [("term", "ours", "the contract's", "difference")]
    rows += [(one.name, one.ours, one.contract, one.difference) for one in line.terms]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  " + "  ".join(cells))
    if line.unknown:
        lines.append(f"  cannot be told: {line.unknown}")
    lines.append("  every term is equal" if line.equal else "  NOT EQUAL")
    return lines
