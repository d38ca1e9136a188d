"""Programs for the earlier client, on this package under the old name."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.protobuf")

import athena.compat  # noqa: E402
from athena.emulator import Namespace  # noqa: E402
from conftest import Run  # noqa: E402

PACKAGE = "resolver_athena_client"


@pytest.fixture(autouse=True)
def switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PYTHONPATH does for a whole process."""
    shown = subprocess.check_output([sys.executable, "-m", "athena.compat"], text=True)
    monkeypatch.syspath_prepend(shown.strip().split(os.pathsep)[0])


def old(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.{name}")


@pytest.fixture
def environment(athena_emulator: Namespace) -> Iterator[Namespace]:
    with athena_emulator.environment():
        yield athena_emulator


@pytest.fixture
def helper(environment: Namespace) -> Any:
    return old("client.channel").CredentialHelper(
        client_id=os.getenv("OAUTH_CLIENT_ID"),
        client_secret=os.getenv("OAUTH_CLIENT_SECRET"),
        auth_url=os.getenv("OAUTH_AUTH_URL"),
        audience=os.getenv("OAUTH_AUDIENCE"),
    )


def options(**changes: Any) -> Any:
    return old("client.athena_options").AthenaOptions(
        **{
            "host": os.environ["ATHENA_HOST"],
            "affiliate": os.environ["ATHENA_AFFILIATE"],
            "deployment_id": f"compat-{uuid.uuid4()}",
        }
        | changes
    )


def image(data: bytes, correlation_id: str | None = None) -> Any:
    return old("client.models").ImageData(data, correlation_id)


def test_both_names_serve_the_same() -> None:
    for name in ("client.channel", "client.athena_client", "generated.athena.models_pb2"):
        here = importlib.import_module(f"athena.compat.{name}")
        # pytest adds names of its own, which begin with "@", to the modules of plugins.
        names = [{one for one in dir(module) if one[0] != "@"} for module in (here, old(name))]
        assert names[0] == names[1]
        assert old(name).__name__ == f"{PACKAGE}.{name}"
    messages = importlib.import_module("athena.compat.generated.athena.models_pb2")
    assert messages.ClassifyResponse is old("generated.athena.models_pb2").ClassifyResponse


async def test_a_token_serves_both_spellings(helper: Any) -> None:
    token = await helper.get_token()
    same = helper.get_token()
    assert len(token) == len(same.access_token) > 100 and token == same
    assert isinstance(token, str) and isinstance(token, old("client.channel").TokenData)
    assert same.is_valid() and not same.is_old() and same.scheme == "Bearer"
    assert f"{token}" == same.access_token
    assert same.access_token not in repr(token) + repr(helper)
    helper.invalidate_token()
    assert len(helper.get_token()) > 0


async def test_what_is_wrong_is_told_when_the_channel_is_made(helper: Any) -> None:
    channel, errors = old("client.channel"), old("client.exceptions")
    wrong = channel.CredentialHelper("nobody", "wrong", os.environ["OAUTH_AUTH_URL"])
    with pytest.raises(errors.AuthenticationError, match="OAuth request failed with status 40"):
        await wrong.get_token()
    with pytest.raises(errors.OAuthError):
        await channel.create_channel_with_credentials(os.environ["ATHENA_HOST"], wrong)
    with pytest.raises(ConnectionError):
        await channel.create_channel_with_credentials("localhost:1", helper)
    with pytest.raises(errors.InvalidHostError, match="host cannot be empty"):
        await channel.create_channel_with_credentials("", helper)
    with pytest.raises(errors.InvalidAuthError):
        channel.create_channel("localhost", "")
    for arguments in (("", "secret"), ("id", "")):
        with pytest.raises(errors.CredentialError, match="cannot be empty"):
            channel.CredentialHelper(*arguments)
    with pytest.raises(ValueError, match="proactive_refresh_threshold"):
        channel.CredentialHelper("id", "secret", proactive_refresh_threshold=1.0)


async def test_refreshes_are_logged_under_the_name_that_the_guide_has(
    helper: Any, caplog: pytest.LogCaptureFixture
) -> None:
    name = "athena_client.client.channel"
    with caplog.at_level(logging.DEBUG, logger=name):
        token = helper.get_token()
        while not any(r.name == name and "obtained" in r.message for r in caplog.records):
            await asyncio.sleep(0.01)
    assert token.access_token not in caplog.text


async def test_one_image(helper: Any, environment: Namespace, picture: bytes) -> None:
    channel = await old("client.channel").create_channel_with_credentials(
        os.environ["ATHENA_HOST"], helper
    )
    async with old("client.athena_client").AthenaClient(channel, options()) as client:
        result = await client.classify_single(image(picture, "upload-7"))
        assert result.correlation_id == "upload-7" and not result.error.message
        weights = {one.label: one.weight for one in result.classifications}
        assert weights["KnownCSAM-MD5"] == weights["KnownCSAM-SHA1"] == 0.0
        assert weights["UnknownCSAM-PCSAM"] > 0
        with pytest.raises(ValueError, match="Failed to decode image data for resizing"):
            await client.classify_single(image(b"no picture"))
        environment.add_known_hashes(athena.imaging.hashes(b"known").md5)
        known = await client.classify_single(image(b"known"))
        assert {c.label: c.weight for c in known.classifications}["KnownCSAM-MD5"] == 1.0
        environment.add_rule(error=("model_error", "out of order"))
        with pytest.raises(old("client.exceptions").AthenaError, match="^out of order$"):
            await client.classify_single(image(picture))


async def test_a_static_token(environment: Namespace, picture: bytes) -> None:
    channel = old("client.channel").create_channel(
        host=os.environ["ATHENA_HOST"], auth_token=environment.mint()
    )
    async with old("client.athena_client").AthenaClient(channel, options()) as client:
        assert (await client.classify_single(image(picture))).classifications


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("kind", ["native", "grpcio"])
async def test_a_stream_has_an_output_for_each_image_and_ends(
    helper: Any, environment: Namespace, pictures: list[Path], kind: str, compress: bool
) -> None:
    frame = athena.imaging.frame(pictures[0].read_bytes()).tobytes()
    data = [path.read_bytes() for path in pictures] * 3 + [b"no picture", frame]

    async def images() -> AsyncIterator[Any]:
        for number, one in enumerate(data):
            yield image(one, f"image-{number}")

    channel = await made(kind, helper, environment)
    outputs = {}
    chosen = options(compress_images=compress, max_batch_size=4)
    async with old("client.athena_client").AthenaClient(channel, chosen) as client:
        async for response in client.classify_images(images()):
            for output in response.outputs:
                assert output.correlation_id not in outputs
                outputs[output.correlation_id] = output
    assert outputs.keys() == {f"image-{number}" for number in range(len(data))}
    broken = outputs.pop(f"image-{len(data) - 2}")
    assert "image" in broken.error.message
    assert {one.label for one in broken.classifications} == {"KnownCSAM-MD5", "KnownCSAM-SHA1"}
    for output in outputs.values():
        labels = {one.label for one in output.classifications}
        assert {"KnownCSAM-MD5", "UnknownCSAM-PCSAM"} <= labels
    scores = [
        {c.label: c.weight for c in outputs[f"image-{n}"].classifications}["UnknownCSAM-PCSAM"]
        for n in (0, len(data) - 1)
    ]
    assert scores[0] == scores[1]


async def made(kind: str, helper: Any, environment: Namespace) -> Any:
    """A channel of this package, or one that a program has made itself."""
    host = os.environ["ATHENA_HOST"]
    channel = old("client.channel")
    if kind == "native":
        return await channel.create_channel_with_credentials(host, helper)
    grpc = pytest.importorskip("grpc")
    roots = environment._emulator.ca_pem.encode()
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(roots),
        grpc.metadata_call_credentials(channel._AutoRefreshTokenAuthMetadataPlugin(helper)),
    )
    return grpc.aio.secure_channel(host, credentials)


@pytest.mark.parametrize("kind", ["native", "grpcio"])
async def test_images_that_raise(
    helper: Any, environment: Namespace, picture: bytes, kind: str
) -> None:
    async def images() -> AsyncIterator[Any]:
        yield image(picture)
        raise LookupError("gone")

    channel = await made(kind, helper, environment)
    async with old("client.athena_client").AthenaClient(channel, options()) as client:
        with pytest.raises(LookupError, match="gone"):
            async for _ in client.classify_images(images()):
                pass


@pytest.mark.parametrize("kind", ["native", "grpcio"])
async def test_a_refused_token_is_the_error_of_grpc(
    environment: Namespace, picture: bytes, kind: str
) -> None:
    grpc = pytest.importorskip("grpc")
    host, token = os.environ["ATHENA_HOST"], environment.mint("expired")
    if kind == "native":
        channel = old("client.channel").create_channel(host, token)
    else:
        roots = environment._emulator.ca_pem.encode()
        credentials = grpc.composite_channel_credentials(
            grpc.ssl_channel_credentials(roots), grpc.access_token_call_credentials(token)
        )
        channel = grpc.aio.secure_channel(host, credentials)

    async def images() -> AsyncIterator[Any]:
        yield image(picture)

    async with old("client.athena_client").AthenaClient(channel, options()) as client:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await client.classify_single(image(picture))
        assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            async for _ in client.classify_images(images()):
                pass
        assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_what_a_broken_program_left_comes_on_the_next_stream(
    helper: Any, environment: Namespace, picture: bytes
) -> None:
    async def images(count: int) -> AsyncIterator[Any]:
        for _ in range(count):
            yield image(picture)

    chosen = options()
    environment.add_rule(next=1)
    environment.add_rule(delay=0.3)
    seen = []
    for count in (20, 0):
        channel = await made("native", helper, environment)
        async with old("client.athena_client").AthenaClient(channel, chosen) as client:
            stream = client.classify_images(images(count))
            async for response in stream:
                seen.append(len(response.outputs))
                if count:
                    await environment.expect_async(at_least=5)
                    break
            await stream.aclose()
    assert len(seen) > 1


async def test_every_image_that_was_taken_comes_on_one_stream_or_the_next(
    helper: Any, environment: Namespace, dot: bytes
) -> None:
    taken: list[str] = []
    seen: list[str] = []

    async def images(count: int) -> AsyncIterator[Any]:
        for number in range(count):
            taken.append(str(number))
            yield old("client.models").ImageData(dot, str(number))

    chosen = options()
    for count in (1000, 0):
        channel = await made("native", helper, environment)
        async with old("client.athena_client").AthenaClient(channel, chosen) as client:
            async for response in client.classify_images(images(count)):
                seen += [output.correlation_id for output in response.outputs]
                if count or len(seen) == len(taken):
                    break
    assert sorted(seen) == sorted(taken)


async def test_deployments(helper: Any, environment: Namespace, picture: bytes) -> None:
    async def images() -> AsyncIterator[Any]:
        yield image(picture)

    channel = await made("native", helper, environment)
    chosen = options()
    async with old("client.athena_client").AthenaClient(channel, chosen) as client:
        async for _ in client.classify_images(images()):
            pass
    for kind in ("native", "grpcio"):
        channel = await made(kind, helper, environment)
        async with old("client.deployment_selector").DeploymentSelector(channel) as selector:
            found = await selector.list_deployments()
        assert chosen.deployment_id in [one.deployment_id for one in found.deployments]


async def test_transformers_change_an_image_in_place(picture: bytes) -> None:
    core, data = old("client.transformers"), image(picture)
    assert await core.resize_image(data) is data
    assert len(data.data) == 448 * 448 * 3 and len(data.md5_hashes) == len(data.sha256_hashes) == 2
    assert data.data == athena.imaging.frame(picture).tobytes()
    before = data.data
    core.compress_image(data, quality=1)
    assert len(data.data) < len(before)


def test_grpcio_and_its_like_are_not_imported_before_they_are_needed(run: Run) -> None:
    run("""
        import sys
        import athena.compat.client.athena_client, athena.compat.client.channel
        heavy = {"grpc", "numpy", "cv2", "httpx", "pydantic"} & set(sys.modules)
        assert not heavy, heavy
    """)


async def test_a_channel_is_one_of_grpc_as_well(helper: Any, environment: Namespace) -> None:
    grpc = pytest.importorskip("grpc")
    os.environ["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = environment._emulator.ca_file
    channel = await made("native", helper, environment)
    assert isinstance(channel, grpc.aio.Channel)
    stub = old("generated.athena.athena_pb2_grpc").ClassifierServiceStub(channel)
    assert stub.Classify is not None
    await channel.close()


def test_formats_by_their_first_bytes() -> None:
    detect = old("client.image_format_detector").detect_image_format
    formats = old("generated.athena.models_pb2").ImageFormat
    for start, name in [
        (b"\x89PNG", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"RIFF....WEBP", "WEBP"),
        (b"II*\x00", "TIFF"),
        (b"", "UNSPECIFIED"),
        (b"RIFF....WAVE", "UNSPECIFIED"),
    ]:
        assert formats.Name(detect(start)) == f"IMAGE_FORMAT_{name}"


def test_outputs_are_read_as_before() -> None:
    messages, utils = old("generated.athena.models_pb2"), old("client.utils")
    response = messages.ClassifyResponse()
    response.outputs.add(correlation_id="good")
    bad = response.outputs.add(correlation_id="bad-image-1")
    bad.error.code, bad.error.message = messages.ErrorCode.ERROR_CODE_MODEL_ERROR, "failed"
    assert utils.has_output_errors(response)
    assert utils.get_output_error_summary(response) == {"3": 1}
    assert [o.correlation_id for o in utils.get_successful_outputs(response)] == ["good"]
    assert len(utils.process_classification_outputs(response, log_errors=False)) == 1
    with pytest.raises(
        old("client.exceptions").ClassificationOutputError, match="bad-imag: failed"
    ):
        utils.process_classification_outputs(response, raise_on_error=True, log_errors=False)


def test_the_public_names_of_the_earlier_client() -> None:
    for module, names in {
        "client": "ClassificationOutputError CredentialError CredentialHelper OAuthError TokenData"
        " TokenExpiredError create_channel_with_credentials get_output_error_summary"
        " get_successful_outputs has_output_errors log_output_errors process_classification_outputs",
        "client.athena_client": "AthenaClient",
        "client.athena_options": "AthenaOptions",
        "client.channel": "CredentialHelper TokenData create_channel create_channel_with_credentials",
        "client.consts": "EXPECTED_HEIGHT EXPECTED_WIDTH MAX_DEPLOYMENT_ID_LENGTH",
        "client.correlation": "CorrelationProvider HashCorrelationProvider",
        "client.deployment_selector": "DeploymentSelector",
        "client.exceptions": "AthenaError AuthenticationError ClassificationOutputError"
        " CredentialError InvalidAuthError InvalidHostError InvalidRequestError"
        " InvalidResponseError OAuthError TokenExpiredError",
        "client.image_format_detector": "detect_image_format PNG_MAGIC_BYTES",
        "client.models.input_model": "ImageData",
        "client.transformers": "WorkerBatcher compress_image resize_image",
        "client.transformers.core": "OpenCVResamplingAlgorithm compress_image resize_image",
        "generated.athena.models_pb2": "ClassifyRequest ClassifyResponse ClassificationInput"
        " ClassificationOutput Classification ClassificationError Deployment ErrorCode HashType"
        " ImageFormat ImageHash ListDeploymentsResponse RequestEncoding",
        "grpc_wrappers.classifier_service": "ClassifierServiceClient",
    }.items():
        for name in names.split():
            assert hasattr(old(module), name), (module, name)
