"""Streams pictures through the public Python client, for compare.py."""

import asyncio
import os
import sys
from pathlib import Path

from resolver_athena_client.client.athena_client import AthenaClient
from resolver_athena_client.client.athena_options import AthenaOptions
from resolver_athena_client.client.channel import (
    CredentialHelper,
    create_channel_with_credentials,
)
from resolver_athena_client.client.models import ImageData


async def main() -> None:
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    files = sorted(path for path in folder.iterdir() if path.is_file())
    helper = CredentialHelper(
        client_id=os.environ["OAUTH_CLIENT_ID"],
        client_secret=os.environ["OAUTH_CLIENT_SECRET"],
        auth_url=os.environ["OAUTH_AUTH_URL"],
        audience=os.environ["OAUTH_AUDIENCE"],
    )
    channel = await create_channel_with_credentials(os.environ["ATHENA_HOST"], helper)
    options = AthenaOptions(
        host=os.environ["ATHENA_HOST"],
        affiliate=os.environ["ATHENA_AFFILIATE"],
        deployment_id=f"compare-python-{os.getpid()}",
    )
    if mode == "raw":
        # 10 uncompressed frames exceed the usual limit of 4 MiB for one message.
        options.compress_images = False
        options.max_batch_size = 6

    async def images():
        for path in files:
            yield ImageData(path.read_bytes(), correlation_id=path.name)

    answered = 0
    async with AthenaClient(channel, options) as client:
        # The client's stream does not end by itself: stop when all answers are in.
        async for response in client.classify_images(images()):
            for output in response.outputs:
                answered += 1
                if output.error.message:
                    sys.exit(f"{output.correlation_id}: {output.error.message}")
            if answered >= len(files):
                break


asyncio.run(main())
