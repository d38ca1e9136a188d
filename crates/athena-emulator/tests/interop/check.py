"""The public Python client against a running emulator, set up by nothing but environment variables."""

import asyncio
import hashlib
import logging
import os
import sys

import grpc
import httpx
from resolver_athena_client.client.athena_client import AthenaClient
from resolver_athena_client.client.athena_options import AthenaOptions
from resolver_athena_client.client.channel import CredentialHelper, create_channel_with_credentials
from resolver_athena_client.client.deployment_selector import DeploymentSelector
from resolver_athena_client.client.exceptions import AthenaError
from resolver_athena_client.client.models import ImageData

# The client logs the errors that it raises, and some are asked for here.
logging.disable()

ENV = os.environ
DEPLOYMENT = "interop-python"


async def connect(secret=ENV["OAUTH_CLIENT_SECRET"]):
    helper = CredentialHelper(ENV["OAUTH_CLIENT_ID"], secret, ENV["OAUTH_AUTH_URL"], ENV["OAUTH_AUDIENCE"])
    return await create_channel_with_credentials(ENV["ATHENA_HOST"], helper)


def options(**changes):
    settings = {
        "host": ENV["ATHENA_HOST"],
        "affiliate": ENV["ATHENA_AFFILIATE"],
        "deployment_id": DEPLOYMENT,
        # The default, 11, takes over a second of CPU for each image.
        "compression_quality": 1,
    }
    return AthenaOptions(**(settings | changes))


def admin(path, **request):
    return httpx.post(ENV["ATHENA_EMULATOR_ADMIN_URL"] + path, **request).raise_for_status()


def weights(output):
    return {c.label: c.weight for c in output.classifications}


async def single(images):
    """Each image alone, compressed and not, with its hash known and not."""
    found = {}
    for compress in (True, False):
        async with AthenaClient(await connect(), options(compress_images=compress)) as client:
            for name, data in images.items():
                result = weights(await client.classify_single(ImageData(data)))
                assert result["KnownCSAM-MD5"] == 0.0, result
                categories = [w for label, w in result.items() if label.startswith("Unknown")][:6]
                assert abs(sum(categories) - 1) < 1e-5, result
                assert found.setdefault(name, result) == result, "compression must not change the weights"
    name, data = next(iter(images.items()))
    admin("/known-hashes", json=[hashlib.md5(data).hexdigest()])
    async with AthenaClient(await connect(), options()) as client:
        known = weights(await client.classify_single(ImageData(data)))
        assert known.pop("KnownCSAM-MD5") == 1.0
    return found


async def stream(images, expected):
    """All images in a stream: each is answered once, with the weights that it got alone."""
    async def source():
        for name, data in images.items():
            yield ImageData(data, correlation_id=name)

    results = {}
    async with AthenaClient(await connect(), options()) as client:
        # The client sends keepalives for ever, so the caller has to count.
        async for response in client.classify_images(source()):
            for output in response.outputs:
                assert not output.error.message, output
                assert output.correlation_id not in results, "answered twice"
                results[output.correlation_id] = weights(output)
            if len(results) == len(images):
                break
    for name, result in results.items():
        # Streams of this client carry no hashes.
        without_hashes = {k: w for k, w in expected[name].items() if not k.startswith("Known")}
        assert result == without_hashes, (name, result)


async def deployments():
    async with DeploymentSelector(await connect()) as selector:
        listed = await selector.list_deployments()
    assert DEPLOYMENT in [deployment.deployment_id for deployment in listed.deployments], listed


async def refusals(data):
    async with AthenaClient(await connect("wrong"), options(timeout=10)) as client:
        try:
            await client.classify_single(ImageData(data))
            raise AssertionError("a wrong secret was accepted")
        except grpc.aio.AioRpcError as error:
            assert "401" in error.details() and "wrong client secret" in error.details(), error
    async with AthenaClient(await connect(), options(affiliate="nobody")) as client:
        try:
            await client.classify_single(ImageData(data))
            raise AssertionError("an unknown affiliate was accepted")
        except AthenaError as error:
            assert "Affiliate ID 'nobody' is not permitted" in str(error), error
    async with AthenaClient(await connect(), options()) as client:
        await client.classify_single(ImageData(data))
        admin("/tokens/revoke")
        try:
            await client.classify_single(ImageData(data))
            raise AssertionError("a revoked token was accepted")
        except grpc.aio.AioRpcError as error:
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED, error


async def main():
    images = {}
    for path in sys.argv[1:]:
        if not path.endswith((".md", ".txt")):
            with open(path, "rb") as file:
                images[os.path.basename(path)] = file.read()
    assert images, "no images given"
    expected = await single(images)
    print(f"ok: {len(images)} images one by one, compressed and not, unknown and known")
    await stream(images, expected)
    print(f"ok: {len(images)} images in a stream")
    await deployments()
    print("ok: deployments are listed")
    await refusals(next(iter(images.values())))
    print("ok: a wrong secret, an unknown affiliate and a revoked token are refused")


asyncio.run(main())
