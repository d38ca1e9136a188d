"""Drawings, screenshots and memes: flat areas, text, few colours, patterns, and photographs in between."""

import io
import os

import matplotlib
import numpy as np
import skimage
from matplotlib import cm
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from . import photographs

SIDE = 448
FONTS = os.path.join(matplotlib.get_data_path(), "fonts", "ttf")
WORDS = (
    "upload queue holds images until every one of them has exactly one outcome the service answers in any order and "
    "nothing is lost when a connection breaks because what is unanswered travels again"
).split()


def font(size, name="DejaVuSans"):
    return ImageFont.truetype(os.path.join(FONTS, f"{name}.ttf"), size)


def photograph(name, size=(SIDE, SIDE)):
    return Image.open(photographs.paths()[name]).convert("RGB").resize(size, Image.LANCZOS)


def canvas(colour="white", size=(SIDE, SIDE)):
    image = Image.new("RGB", size, colour)
    return image, ImageDraw.Draw(image)


def lines(rng, count, words=9):
    return [" ".join(rng.choice(WORDS, words)) for _ in range(count)]


def text_page(rng, size=(SIDE, SIDE), ink="black", paper="white", points=13, name="DejaVuSans"):
    image, draw = canvas(paper, size)
    for row, line in enumerate(lines(rng, size[1] // (points + 6), size[0] // (points * 4))):
        draw.text((14, 10 + row * (points + 5)), line, fill=ink, font=font(points, name))
    return image


def screenshot(rng, size=(SIDE, SIDE), dark=False):
    """A window: a title bar, a side bar, cards with text, buttons, icons."""
    width, height = size
    paper, card, ink, muted, accent = (
        ("#1e1f22", "#2b2d31", "#e6e6e6", "#949ba4", "#5865f2") if dark else ("#f0f2f5", "#ffffff", "#1c1e21", "#65676b", "#1877f2")
    )
    image, draw = canvas(paper, size)
    draw.rectangle((0, 0, width, 36), fill=accent)
    draw.text((12, 9), "Moderation queue", fill="white", font=font(15, "DejaVuSans-Bold"))
    draw.rectangle((0, 36, width // 5, height), fill=card)
    for row in range(10):
        draw.ellipse((10, 52 + row * 38, 28, 70 + row * 38), fill=tuple(int(v) for v in rng.integers(60, 230, 3)))
        draw.text((36, 54 + row * 38), str(rng.choice(WORDS)), fill=muted, font=font(11))
    for row in range(height // 96):
        top = 48 + row * 96
        draw.rounded_rectangle((width // 5 + 12, top, width - 14, top + 84), 8, fill=card, outline=muted)
        draw.text((width // 5 + 24, top + 8), lines(rng, 1, 4)[0], fill=ink, font=font(13, "DejaVuSans-Bold"))
        for n, line in enumerate(lines(rng, 2, 7)):
            draw.text((width // 5 + 24, top + 28 + n * 15), line, fill=muted, font=font(11))
        draw.rounded_rectangle((width - 100, top + 58, width - 24, top + 78), 4, fill=accent)
        draw.text((width - 84, top + 61), "Review", fill="white", font=font(11))
    return image


def chart(kind, rng, antialiased=True):
    figure = Figure(figsize=(4.48, 4.48), dpi=100)
    axes = figure.subplots()
    if kind == "lines":
        for n in range(5):
            axes.plot(np.cumsum(rng.normal(size=200)), label=WORDS[n], antialiased=antialiased)
        axes.legend()
        axes.grid(True)
    elif kind == "bars":
        axes.bar(WORDS[:7], rng.integers(3, 60, 7), color=["#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860", "#da8bc3"])
        axes.tick_params(axis="x", rotation=60)
    elif kind == "scatter":
        axes.scatter(*rng.normal(size=(2, 600)), c=rng.normal(size=600), s=rng.uniform(4, 60, 600), alpha=0.6)
    elif kind == "heat map":
        figure.colorbar(axes.imshow(rng.normal(size=(24, 24)), cmap="viridis", interpolation="nearest"))
    else:
        y, x = np.mgrid[-3:3:200j, -3:3:200j]
        axes.contourf(x, y, np.sin(x * y) + np.cos(2 * x), 14, cmap="terrain")
        axes.contour(x, y, np.sin(x * y) + np.cos(2 * x), 14, colors="k", linewidths=0.4)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return Image.open(out).convert("RGB").resize((SIDE, SIDE), Image.NEAREST)


def caption(image, top, bottom):
    """A meme's caption: white letters with a black edge."""
    draw = ImageDraw.Draw(image)
    for y, words in ((8, top), (image.height - 62, bottom)):
        draw.text((image.width / 2, y), words, fill="white", font=font(42, "DejaVuSans-Bold"), anchor="ma", stroke_width=3, stroke_fill="black")
    return image


def quantized(image, colours, dither):
    return image.quantize(colours, dither=Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE).convert("RGB")


def array(data):
    return Image.fromarray(np.ascontiguousarray(np.clip(data, 0, 255).astype(np.uint8)))


def as_jpeg(image, quality):
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def pixel_art(rng, cells=28, colours=9, scale=16):
    palette = rng.integers(0, 256, (colours, 3))
    half = rng.choice(colours, (cells, cells // 2), p=[0.4] + [0.6 / (colours - 1)] * (colours - 1))
    return array(palette[np.hstack([half, half[:, ::-1]])]).resize((cells * scale,) * 2, Image.NEAREST)


def city_map(rng, antialiased=True):
    scale = 2 if antialiased else 1
    image, draw = canvas("#f2efe9", (SIDE * scale, SIDE * scale))
    for _ in range(14):
        at = rng.integers(0, SIDE * scale, 2)
        size = rng.integers(20, 110, 2) * scale
        draw.rectangle((*at, *(at + size)), fill=["#c8facc", "#aad3df", "#e0dfdf", "#f2dad9"][rng.integers(4)])
    for _ in range(26):
        points = [tuple(int(v) for v in p) for p in np.cumsum(rng.integers(-70, 110, (5, 2)) * scale, axis=0) + rng.integers(0, SIDE * scale, 2)]
        width = int(rng.integers(2, 7)) * scale
        draw.line(points, fill="#bbbbbb", width=width + 2 * scale)
        draw.line(points, fill=["white", "#fcd6a4", "#e892a2"][rng.integers(3)], width=width)
    for _ in range(22):
        at = tuple(int(v) for v in rng.integers(0, SIDE * scale, 2))
        draw.text(at, str(rng.choice(WORDS)).title(), fill="#555555", font=font(10 * scale))
    return image.resize((SIDE, SIDE), Image.LANCZOS)


def faces(rng):
    """Round yellow faces."""
    image, draw = canvas("white", (SIDE * 4, SIDE * 4))
    for row in range(4):
        for column in range(4):
            x, y = column * 448 + 40, row * 448 + 40
            for ring in range(30):
                tone = (255, 222 - ring * 2, 80 - ring * 2)
                draw.ellipse((x + ring * 2, y + ring * 2, x + 368 - ring * 2, y + 368 - ring * 2), fill=tone)
            for eye in (110, 230):
                draw.ellipse((x + eye, y + 110, x + eye + 34, y + 165), fill="#664e27")
            draw.arc((x + 90, y + 130, x + 280, y + 290), 20, 160, fill="#664e27", width=int(rng.integers(8, 24)))
    return image.resize((SIDE, SIDE), Image.LANCZOS)


def gradient(kind):
    y, x = np.mgrid[0:SIDE, 0:SIDE] / (SIDE - 1)
    if kind == "vertical":
        planes = [60 + 150 * y, 90 + 80 * y, 200 - 90 * y]
    elif kind == "diagonal":
        planes = [255 * (x + y) / 2, 255 * (1 - x), 128 + 60 * (y - x)]
    elif kind == "radial":
        r = np.hypot(x - 0.5, y - 0.5)
        planes = [255 * (1 - r), 200 * (1 - r), 255 * r]
    else:
        planes = [256 * x, 256 * x, 256 * x]
    return array(np.dstack(planes))


def colours(count, rng):
    """Noise of exactly `count` colours."""
    palette = rng.permutation(4096)[:count]
    palette = np.stack([palette // 256 * 16 + 7, palette // 16 % 16 * 16, palette % 16 * 17], axis=1)
    index = rng.integers(0, count, (SIDE, SIDE))
    index.flat[:count] = np.arange(count)
    return array(palette[index])


def stripes(count):
    """Flat bars of exactly `count` colours."""
    x = np.arange(SIDE) * count // SIDE if count < SIDE else np.arange(SIDE)
    index = np.broadcast_to(x, (SIDE, SIDE))
    return array(np.dstack([index * 37 % 256, index * 91 % 251, index // 2]))


def blobs(count, rng):
    """A smooth picture of exactly `count` flat tones."""
    field = np.asarray(Image.fromarray(rng.normal(size=(12, 12)).astype(np.float32)).resize((SIDE, SIDE), Image.BICUBIC))
    rank = field.flatten().argsort().argsort().reshape(SIDE, SIDE) * count // (SIDE * SIDE)
    palette = cm.viridis(np.linspace(0, 1, count))[:, :3] * 255
    palette[:, 2] += np.arange(count) % 2
    return array(np.round(palette)[rank])


def pictures():
    """Names and pictures, the same ones every time."""
    rng = np.random.default_rng(20)
    data = os.path.join(os.path.dirname(skimage.__file__), "data")
    samples = os.path.join(matplotlib.get_data_path(), "sample_data")
    wheel = lambda folder, name: Image.open(os.path.join(folder, name)).convert("RGB")

    yield "screenshot", screenshot(rng)
    yield "screenshot dark", screenshot(rng, dark=True)
    yield "screenshot large", screenshot(rng, (1280, 900))
    yield "screenshot large dark", screenshot(rng, (1366, 768), dark=True)
    yield "text", text_page(rng)
    yield "text large", text_page(rng, (1240, 1240), points=22)
    yield "text coloured", text_page(rng, ink="#d6deeb", paper="#011627", name="DejaVuSansMono")
    page = text_page(rng, (900, 900), points=20)
    yield "text two colours", page.resize((SIDE, SIDE)).convert("1", dither=Image.Dither.NONE).convert("RGB")
    yield "text scanned", array(np.asarray(page.rotate(1.2, Image.BICUBIC, fillcolor="white"), float) * 0.85 + rng.normal(20, 4, (900, 900, 1)))
    yield "text page", wheel(data, "page.png")
    yield "text as JPEG", as_jpeg(text_page(rng), 60)
    yield "screenshot as JPEG", as_jpeg(screenshot(rng), 75)
    for kind in ("lines", "bars", "scatter", "heat map", "contours"):
        yield f"chart {kind}", chart(kind, rng)
    yield "chart lines hard", chart("lines", rng, antialiased=False)
    yield "meme", caption(photograph("chelsea"), "ONE DOES NOT", "SIMPLY SCAN")
    meme, _ = canvas("white", (600, 800))
    meme.paste(photograph("coffee", (560, 560)), (20, 200))
    ImageDraw.Draw(meme).multiline_text((20, 20), "when the build is green\nand the coffee is hot", fill="black", font=font(44))
    yield "meme white", meme
    panels, _ = canvas("white")
    for n, name in enumerate(("astronaut", "rocket")):
        panels.paste(photograph(name, (224, 224)), (0, 224 * n))
        ImageDraw.Draw(panels).multiline_text((236, 80 + 224 * n), "raw frames\nevery day" if n else "lossless\nand small", fill="black", font=font(28))
    yield "meme panels", panels
    boxed, _ = canvas("black")
    boxed.paste(photograph("china", (448, 252)), (0, 98))
    yield "letterbox", boxed
    boxed = photograph("flower").filter(ImageFilter.GaussianBlur(18))
    boxed.paste(photograph("flower", (252, 448)), (98, 0))
    yield "letterbox blurred", boxed
    half, _ = canvas("#3366cc")
    half.paste(photograph("motorcycle_left", (224, 448)), (0, 0))
    yield "half flat", half
    screen = screenshot(rng)
    for n, name in enumerate(("coffee", "china", "flower")):
        screen.paste(photograph(name, (100, 74)), (220 + n * 6, 53 + n * 96))
    yield "screenshot with photographs", screen
    yield "collage", array(np.vstack([np.hstack([np.asarray(photograph(n, (149, 149))) for n in row]) for row in (("coffee", "cell", "moon"), ("china", "coins", "rocket"), ("grass", "retina", "brick"))]))
    yield "logo", wheel(data, "logo.png")
    yield "logo with letters", wheel(samples, "logo2.png")
    yield "logo present", wheel(samples, "Minduka_Present_Blue_Pack.png")
    yield "silhouette", wheel(data, "horse.png")
    yield "phantom", wheel(data, "phantom.png")
    yield "faces", faces(rng)
    yield "map", city_map(rng)
    yield "map hard", city_map(rng, antialiased=False)
    yield "pixel art", pixel_art(rng)
    yield "pixel art uneven", pixel_art(rng, 32, 14, 11)
    yield "pixel art smooth", pixel_art(rng, 64, 24, 3).resize((SIDE, SIDE), Image.BICUBIC)
    line_art = photograph("astronaut", (896, 896)).convert("L").filter(ImageFilter.FIND_EDGES).point(lambda v: 0 if v > 40 else 255)
    yield "line art", line_art.convert("RGB")
    yield "line art hard", line_art.resize((SIDE, SIDE), Image.NEAREST).convert("RGB")
    yield "cartoon", ImageEnhance.Color(quantized(photograph("astronaut").filter(ImageFilter.ModeFilter(7)), 12, False)).enhance(1.4)
    for kind in ("vertical", "diagonal", "radial", "grey"):
        yield f"gradient {kind}", gradient(kind)
    yield "gradient dithered", array(np.asarray(gradient("diagonal"), float) + rng.uniform(-1, 1, (SIDE, SIDE, 3)))
    yield "gradient 32 colours", quantized(gradient("diagonal"), 32, True)
    for count, dither in ((2, True), (4, True), (16, True), (64, True), (256, True), (16, False), (128, False), (256, False)):
        yield f"photograph {count} colours{' dithered' if dither else ''}", quantized(photograph("coffee"), count, dither)
    yield "photograph halftone", photograph("astronaut").convert("1").convert("RGB")
    yield "photograph grey 16", array(np.asarray(photograph("camera")) // 16 * 17)
    yield "photograph posterised", array(np.asarray(photograph("flower")) // 32 * 36)
    yield "photograph enlarged", photograph("coffee", (112, 112)).resize((SIDE, SIDE), Image.NEAREST)
    yield "photograph enlarged smooth", photograph("coffee", (90, 90)).resize((SIDE, SIDE), Image.BICUBIC)
    tile = np.asarray(photograph("grass", (64, 64)))
    yield "tiles of a photograph", array(np.tile(tile, (7, 7, 1)))
    yield "tiles of 37 noise", array(np.tile(rng.integers(0, 256, (37, 37, 3)), (13, 13, 1))[:SIDE, :SIDE])
    yield "tiles of 8", array(np.tile(rng.integers(0, 256, (8, 8, 3)), (56, 56, 1)))
    yield "tiles of 100", array(np.tile(np.asarray(photograph("coffee", (100, 100))), (5, 5, 1))[:SIDE, :SIDE])
    yield "wallpaper", array(np.tile(np.asarray(faces(rng).resize((112, 112), Image.LANCZOS)), (4, 4, 1)))
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    yield "checkerboard", array(np.repeat(((x + y) % 2 * 255)[:, :, None], 3, 2))
    yield "checkerboard of 7", array(np.repeat(((x // 7 + y // 7) % 2 * 200 + 20)[:, :, None], 3, 2))
    yield "moiré", array(np.dstack([127 + 120 * np.sin(x * y / 700.0), 127 + 120 * np.sin(np.hypot(x, y) / 3), 127 + 120 * np.cos(x / 5)]))
    yield "code of squares", array(np.kron(rng.integers(0, 2, (37, 37)), np.ones((12, 12)))[:, :, None].repeat(3, 2) * 255).resize((SIDE, SIDE), Image.NEAREST)
    yield "noise", array(rng.integers(0, 256, (SIDE, SIDE, 3)))
    yield "noise grey", array(rng.integers(0, 256, (SIDE, SIDE, 1)).repeat(3, 2))
    yield "noise sparse", array(np.where(rng.random((SIDE, SIDE, 1)) < 0.03, rng.integers(0, 256, (SIDE, SIDE, 3)), 230))
    yield "noise weak", array(rng.normal(128, 1.5, (SIDE, SIDE, 3)))
    for count in (1, 2, 3, 4, 5, 16, 17, 128, 256, 257, 400):
        if count < 448:
            yield f"noise {count} colours", colours(count, rng)
    for count in (2, 5, 16, 17, 64, 256, 257):
        yield f"stripes {count} colours", stripes(count)
        yield f"blobs {count} colours", blobs(count, rng)
    spectrogram = np.abs(np.fft.rfft(rng.normal(size=(SIDE, 894)) + np.sin(np.arange(894) * np.linspace(0.1, 2, SIDE)[:, None]), axis=1))[:, :SIDE]
    yield "spectrogram", array(cm.inferno(np.clip(spectrogram / 60, 0, 1))[:, :, :3] * 255)
