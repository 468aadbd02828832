"""`timelinelabels connect`, `doctor` and `annotate`: commands that speak to a running Label Studio."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from timelinelabels.labelstudio.client import LabelStudioClient
    from timelinelabels.labelstudio.connecting import BasicAuth
    from timelinelabels.settings import Settings

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="Label Studio's address as this machine reaches it; default: LABEL_STUDIO_URL.",
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        help="An access token from Label Studio's Account & Settings; default: LABEL_STUDIO_API_KEY, "
        "which others on this machine cannot see in the list of processes.",
    ),
]
ProjectIdOption = Annotated[
    int,
    typer.Option(
        "--project", "-p", min=1, help="The project's number, as in its address: /projects/NUMBER."
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        help="This backend's address as Label Studio reaches it; default: http://localhost:PORT. In "
        "Docker a name with a dot, such as http://timelinelabels.internal:9090.",
    ),
]


def connect(
    project: ProjectIdOption,
    url: UrlOption = None,
    api_key: KeyOption = None,
    backend: BackendOption = None,
) -> None:
    """Connect a project to this backend: adds the backend and the webhook that it learns by.

    The backend must be running. Nothing is done twice: run it again after a change of BASIC_AUTH_USER
    or BASIC_AUTH_PASS, which Label Studio must know, and which the webhook must carry.

    Example: timelinelabels connect --url http://localhost:8080 --api-key KEY --project 1
    """
    from timelinelabels.errors import LabelStudioError
    from timelinelabels.labelstudio.connecting import (
        CONNECTED,
        connect_backend,
        mend_webhook,
        refusal_help,
    )

    settings, client = _open(url, api_key)
    address, basic_auth = _backend_url(backend, settings), _basic_auth(settings)
    try:
        connected, new = connect_backend(client, project, address, basic_auth)
        typer.echo(f"Project {project}: {address} {'is connected now' if new else 'was connected'}")
        done = mend_webhook(client, project, address, basic_auth)
    except LabelStudioError as error:
        hint = refusal_help(str(error), address)
        raise type(error)(f"{error}. {hint}" if hint else str(error)) from None
    typer.echo(f"Webhook: {done or 'was there'}")
    if connected.state != CONNECTED:
        said = connected.error or connected.state
        hint = (
            refusal_help(said, address) or "Is it running, and is this how Label Studio reaches it?"
        )
        typer.secho(f"Label Studio does not reach it: {said}. {hint}", fg="red", err=True)
        raise typer.Exit(1)


def doctor(
    url: UrlOption = None,
    api_key: KeyOption = None,
    project: Annotated[
        int | None,
        typer.Option(
            "--project",
            "-p",
            min=1,
            help="Also check this project: backend, webhook, labeling config, videos.",
        ),
    ] = None,
    backend: BackendOption = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Create or mend the project's webhook; switch off one that leads nowhere."
        ),
    ] = False,
) -> None:
    """Find out why the backend and Label Studio do not work together, and what to do.

    Run it where the backend runs, with the same environment. Each line is ok, warn or fail; the command
    ends with 1 if one fails.

    Example: timelinelabels doctor --url http://localhost:8080 --api-key KEY --project 1 --fix
    """
    if fix and project is None:
        raise typer.BadParameter("--fix mends a project's webhook: name it by --project")
    from rich.console import Console
    from rich.text import Text

    from timelinelabels.doctor import Doctor, Verdict, worst
    from timelinelabels.runtime import build_resources

    settings, client = _open(url, api_key)
    examination = Doctor(
        client=client,
        resources=build_resources(settings, download_weights=False),
        backend_url=_backend_url(backend, settings),
        basic_auth=_basic_auth(settings),
        folders=(settings.model_root.resolve(), settings.cache_dir.resolve()),
        project_id=project,
        fix=fix,
    )
    console = Console(highlight=False)
    colors = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}
    findings = []
    for finding in examination.examine():
        findings.append(finding)
        line = Text.assemble((f"{finding.verdict.value:<5}", colors[finding.verdict]), finding.text)
        if finding.remedy:
            line.append(f"\n     → {finding.remedy}")
        console.print(line, soft_wrap=True)
    if worst(findings) is Verdict.FAIL:
        raise typer.Exit(1)


def annotate(
    project: ProjectIdOption,
    only_unlabeled: Annotated[
        bool, typer.Option("--only-unlabeled", help="Leave out tasks that have annotations.")
    ] = False,
    url: UrlOption = None,
    api_key: KeyOption = None,
) -> None:
    """Predict all tasks of a project and write the predictions into Label Studio.

    Stopped, it goes on where it was: tasks that have the prediction of the newest model version are
    passed over. A video that cannot be read is told, the others go on, and the command ends with 1.

    Example: timelinelabels annotate --url http://localhost:8080 --api-key KEY --project 1
    """
    from timelinelabels.cli.annotating import annotate_project
    from timelinelabels.cli.console import make_console

    settings, client = _open(url, api_key)
    failed = annotate_project(
        settings, client, project, only_unlabeled=only_unlabeled, console=make_console()
    )
    if failed:
        raise typer.Exit(1)


def _open(url: str | None, api_key: str | None) -> "tuple[Settings, LabelStudioClient]":
    """The settings with what was given on the command line, and Label Studio.

    Raises:
        SettingsError: its address or the key is missing.
    """
    from timelinelabels.errors import SettingsError
    from timelinelabels.log_output import configure_logging
    from timelinelabels.runtime import label_studio_client
    from timelinelabels.settings import load_settings

    given: dict[str, Any] = {"label_studio_url": url, "label_studio_api_key": api_key}
    settings = load_settings(**given)
    configure_logging(settings, quiet=True)
    client = label_studio_client(settings)
    if client is None:
        raise SettingsError(
            "Label Studio's address and an access token are needed: --url and --api-key, or "
            "LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY"
        )
    return settings, client


def _backend_url(given: str | None, settings: "Settings") -> str:
    url = (given or f"http://localhost:{settings.port}").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise typer.BadParameter("must begin with http:// or https://", param_hint="--backend")
    return url


def _basic_auth(settings: "Settings") -> "BasicAuth | None":
    if settings.basic_auth_user is None or settings.basic_auth_pass is None:
        return None
    return settings.basic_auth_user, settings.basic_auth_pass.get_secret_value()
