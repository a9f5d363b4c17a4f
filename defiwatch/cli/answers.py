"""The commands that answer and leave. Bodies import what they need: reading options stays quick."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from defiwatch.cli import options
from defiwatch.cli.groups import Group
from defiwatch.cli.options import FILES, SEVERITIES, Duration, Settings, Since, pass_settings
from defiwatch.cli.root import cli
from defiwatch.errors import DeliveryError


@cli.command(short_help="Precision, recall, lead time and false alarms of recordings.")
@click.argument("files", nargs=-1, required=True, type=FILES, metavar="FILE...")
@click.option("--labels", type=FILES, multiple=True, help="What really happened: one JSON object a line.")
@click.option("--ablate", is_flag=True, help="Also with each part removed: what does it earn?")
@click.option("--baselines", is_flag=True, help="Also a weighted z-score and plain half-space trees, in the same run.")
@click.option("--insert", "kinds", type=options.Kinds(), help="Put these in, and see who finds them.")
@click.option("--size", "sizes", type=options.Shares(), help="How large: price moves, or the share drained.")
@click.option("--seed", "seeds", type=int, multiple=True, help="Where they go; several are taken together.")
@click.option("--times", type=click.IntRange(1, 1000), default=6, help="How often each, for each seed (6).")
@click.option("--lasting", type=click.IntRange(1, 1000), default=6, help="Samples that a moved quote stays (6).")
@click.option("--false-per-day", type=click.FloatRange(0.0), default=4.0, help="Calm that each may call a day (4).")
@click.option("--calibration", is_flag=True, help="Also the share of tail probabilities below each level.")
@click.option("--positions", "snapshot", type=FILES, help="Backtest P(liquidation) of these, as `positions --json`.")
@click.option("--tuning", type=FILES, multiple=True, help="With --positions: learn what is static on these, unscored.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.common
@pass_settings
def evaluate(
    settings: Settings,
    /,
    files: tuple[Path, ...],
    labels: tuple[Path, ...],
    ablate: bool,
    baselines: bool,
    kinds: tuple[str, ...] | None,
    sizes: tuple[float, ...] | None,
    seeds: tuple[int, ...],
    times: int,
    lasting: int,
    false_per_day: float,
    calibration: bool,
    snapshot: Path | None,
    tuning: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Precision, recall, lead time and false alarms a day of recordings: against labels, or what is put into them."""
    if tuning and snapshot is None:
        raise click.UsageError("--tuning needs --positions")
    if snapshot is not None:
        if labels or kinds or calibration:
            raise click.UsageError("--positions excludes --labels, --insert and --calibration")
        from defiwatch.commands.backtest.command import run as backtest

        click.echo(backtest(settings.load(), files, snapshot, tuning, as_json=as_json, say=settings.say))
        return
    if not labels and not kinds and not calibration:
        raise click.UsageError("one of --labels, --insert, --calibration and --positions is needed")
    if (sizes or seeds) and not kinds:
        raise click.UsageError("--size and --seed need --insert")
    if (ablate or baselines) and not labels and not kinds:
        raise click.UsageError("--ablate and --baselines need --labels or --insert")
    from defiwatch.commands.evaluate.command import Asked, run

    asked = Asked(
        ablate=ablate,
        baselines=baselines,
        calibration=calibration,
        insert=kinds or (),
        sizes=sizes or (),
        seeds=seeds or (1,),
        times=times,
        lasting=lasting,
        false_per_day=false_per_day,
    )
    click.echo(run(settings.load(), files, labels, asked, as_json=as_json, say=settings.say))


@cli.command(short_help="Health factors, liquidation prices, what would make it safe.")
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--chain", metavar="NAME", help="Only on this chain.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--all", "everyone", is_flag=True, help="Every borrower of the recording.")
@click.option("--shock", "shocks", multiple=True, type=options.Shock(), help="What if: a price moves, as WETH=-20%.")
@click.option("--repay", "repays", multiple=True, type=options.Amount(), help="What if: debt is repaid, as USDC=5000.")
@click.option("--recording", type=FILES, help="From a recording instead of the chain.")
@click.option("--until", type=click.IntRange(min=0), metavar="BLOCK", help="The recording up to this block.")
@click.option("--each-block", is_flag=True, help="At every block of the recording.")
@options.common
@pass_settings
def positions(
    settings: Settings,
    /,
    addresses: tuple[str, ...],
    chain: str | None,
    as_json: bool,
    everyone: bool,
    shocks: tuple[tuple[str, float], ...],
    repays: tuple[tuple[str, str], ...],
    recording: Path | None,
    until: int | None,
    each_block: bool,
) -> int:
    """Health factor, liquidation prices and what would make it safe, of each ADDRESS."""
    if recording is None and (everyone or until is not None or each_block):
        raise click.UsageError("--all, --until and --each-block need --recording")
    if until is not None and each_block:
        raise click.UsageError("--until and --each-block exclude each other")
    if everyone and addresses:
        raise click.UsageError("--all and an ADDRESS exclude each other")
    if recording is None and not addresses:
        raise click.UsageError("an ADDRESS is missing")
    config = settings.load()
    return int(
        _command("positions")(
            config,
            settings.data(),
            addresses,
            chain=chain,
            shocks=dict(shocks),
            repays=dict(repays),
            recording=recording,
            until=until,
            each_block=each_block,
            as_json=as_json,
        )
    )


@cli.command(short_help="An account's health factor beside the contract's own answer.")
@click.argument("address")
@click.option("--chain", metavar="NAME", help="On this chain.")
@click.option("--block", type=click.IntRange(min=0), help="At this block (else the newest).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.common
@pass_settings
def prove(settings: Settings, /, address: str, chain: str | None, block: int | None, as_json: bool) -> int:
    """Every term of ADDRESS's health factor beside the contract's own answer."""
    config = settings.load()
    return int(_command("prove")(config, settings.data(), address, chain=chain, block=block, as_json=as_json))


@cli.group(cls=Group, invoke_without_command=True)
@click.option("--since", type=Since(), help="From so long ago (24h), or from a moment (ISO 8601).")
@click.option("--severity", type=SEVERITIES, help="Of at least this severity.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line, as it was printed first.")
@options.common
@click.pass_context
def alerts(ctx: click.Context, since: float | None, severity: Any, as_json: bool) -> None:
    """The alerts that were raised, oldest first; and handling them."""
    if ctx.invoked_subcommand:
        return
    from defiwatch.commands.alerts import show

    settings = ctx.find_root().ensure_object(Settings)
    if not show(settings.data(), since=since, severity=severity, as_json=as_json):
        settings.say("no alerts")


@alerts.command()
@click.argument("key")
@options.common
@pass_settings
def ack(settings: Settings, /, key: str) -> None:
    """Say that the alert KEY was seen."""
    from defiwatch.commands.alerts import ack

    settings.say(f"acknowledged: {ack(settings.data(), key)}")


@alerts.command()
@click.argument("key")
@click.argument("duration", type=Duration())
@options.common
@pass_settings
def snooze(settings: Settings, /, key: str, duration: float) -> None:
    """Keep the alert KEY silent for DURATION (2h)."""
    from defiwatch.commands.alerts import snooze

    whole, until = snooze(settings.data(), key, duration)
    settings.say(f"silent until {until}: {whole}")


@alerts.command()
@click.argument("channel")
@options.common
@pass_settings
def test(settings: Settings, /, channel: str) -> None:
    """Send a test alert through CHANNEL and say what became of it."""
    from defiwatch.commands.alerts import push_test

    try:
        name, answer, seconds = push_test(settings.load().sinks, channel)
    except DeliveryError as error:
        raise DeliveryError(f"{channel}: not delivered: {error}") from error
    click.echo(f"{name}: delivered ({answer}) in {seconds:.2f} s")


@cli.command(short_help="Why there is an alert, or why there is none.")
@click.argument("what", metavar="KEY|ADDRESS")
@options.common
@pass_settings
def explain(settings: Settings, /, what: str) -> None:
    """Why there is an alert, or why there is none: thresholds, distance, last read."""
    from defiwatch.commands.explain import explain

    explain(settings.data(), what, settings.load().alerts)


@cli.group(cls=Group, no_args_is_help=False)
@options.common
def journal() -> None:
    """The alert journal."""


@journal.command()
@options.common
@pass_settings
def verify(settings: Settings, /) -> None:
    """Check that the journal is whole and unedited; names the first broken line."""
    from defiwatch.commands.journal import verify

    verify(settings.data())


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.common
@pass_settings
def models(settings: Settings, /, as_json: bool) -> None:
    """Each model's running record."""
    from defiwatch.commands.models import show

    if not show(settings.data(), as_json=as_json):
        settings.say(f"nothing was learnt yet in {settings.data()}")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.common
@pass_settings
def check(settings: Settings, /, as_json: bool) -> int:
    """Check the configuration and every endpoint."""
    config = settings.load()
    return int(_command("check")(config, settings.data(), as_json=as_json))


@cli.command(short_help="Print the JSON Schema of NAME.")
@click.argument(
    "name",
    type=click.Choice(["alert", "position", "proof", "evaluation", "check", "snapshot", "recording", "config"]),
    metavar="NAME",
)
@options.common
def schema(name: str) -> None:
    """Print the JSON Schema of NAME: alert, position, proof, evaluation, check, snapshot, recording or config."""
    from defiwatch.commands.schema import text

    click.echo(text(name))


def _command(name: str) -> Any:
    """The function `run` of the command's own module: `(config, data_dir, …) -> ExitCode`."""
    return import_module(f"defiwatch.commands.{name}").run
