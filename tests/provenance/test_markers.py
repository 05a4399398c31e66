"""Every marker is found where it belongs, and nothing that only looks like one."""

from __future__ import annotations

import json

import pytest
from sample_provenance import (
    GENERATED,
    IPTC_URI,
    PARTLY,
    action,
    app11,
    c2pa_png,
    exif_jpeg,
    iptc,
    iptc_jpeg,
    jpeg,
    jumb,
    manifest,
    photoshop,
    png,
    samsung_trailer,
    store,
    text,
    tiff,
    webp,
    xmp,
    xmp_jpeg,
)
from sample_provenance import exif as exif_block
from sample_stealth import hidden, saved

from sidscan.config import ReadLimits
from sidscan.provenance.families import marker_kinds
from sidscan.provenance.read import read_provenance

LIMIT = 1 << 20
LIMITS = ReadLimits(max_metadata=LIMIT)
UUID = "6c9132c2-9cac-40f2-9472-efa91704ef0f"
LABEL = json.dumps({"Label": "1", "ContentProducer": "00191110102MACQD9K64010000", "ProduceID": "1"})
ESCAPED_LABEL = LABEL.replace('"', "&quot;")
PARAMETERS = (
    "a harbour\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512"
)
GRAPH = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1}}})
XMP_GENERATED = f"<e:DigitalSourceType>{GENERATED}</e:DigitalSourceType>"

# One file for each marker, and more where a marker has several places.
FILES = [
    ("c2pa-created", c2pa_png(manifest("a", action(source=GENERATED, agent="DALL·E")))),
    ("c2pa-created", c2pa_png(manifest("a", action(source=GENERATED)), manifest("b", parent="a"))),
    ("c2pa-generator", c2pa_png(manifest("a", action(), generator="Adobe_Firefly/1.0 c2pa-rs/0.17.0"))),
    ("c2pa-generator", c2pa_png(manifest("a", action(agent="Image Creator from Designer")))),
    ("c2pa-stated", c2pa_png(manifest("a", extra={"c2pa.ai_generated_content": {"ai_generated": True}}))),
    ("c2pa-stated", c2pa_png(manifest("a", extra={"c2pa.metadata": {"e:DigitalSourceType": GENERATED}}))),
    (
        "c2pa-stated",
        c2pa_png(
            manifest("a", extra={"stds.iptc": {"DigitalSourceType": GENERATED}}), manifest("b", parent="a")
        ),
    ),
    ("c2pa-part", c2pa_png(manifest("a", extra={"cawg.metadata": {"e:DigitalSourceType": PARTLY}}))),
    ("c2pa-part", c2pa_png(manifest("a", extra={"com.adobe.generative-ai": {"description": "Firefly"}}))),
    (
        "c2pa-part",
        c2pa_png(
            manifest("a", extra={"c2pa.metadata": {"e:DigitalSourceType": GENERATED}}),
            manifest("b", component="a"),
        ),
    ),
    (
        "c2pa-part",
        c2pa_png(manifest("a", action(source="http://c2pa.org/digitalsourcetype/trainedAlgorithmicData"))),
    ),
    ("c2pa-part", c2pa_png(manifest("a", action("c2pa.edited", parameters={"digitalSourceType": PARTLY})))),
    ("c2pa-part", c2pa_png(manifest("a", action("c2pa.edited", PARTLY)))),
    ("c2pa-part", c2pa_png(manifest("a", action("c2pa.edited", GENERATED)))),
    ("c2pa-part", c2pa_png(manifest("a", action(source=GENERATED)), manifest("b", component="a"))),
    ("c2pa-capture", c2pa_png(manifest("a", action(source=f"{IPTC_URI}digitalCapture")))),
    ("c2pa-no-claim", c2pa_png(manifest("a", action("c2pa.cropped")))),
    (
        "c2pa-no-claim",
        c2pa_png(
            manifest(
                "a",
                extra={
                    "c2pa.ai_generated_content": {"ai_generated": False},
                    "cawg.training-mining": {"entries": {"cawg.ai_generative_training": {"use": "allowed"}}},
                    "c2pa.metadata": {"e:DigitalSourceType": f"{IPTC_URI}digitalCapture"},
                },
            )
        ),
    ),
    ("c2pa-unreadable", png((b"caBX", b"\x00\x00\x00\x10jumbgarbage!"))),
    ("c2pa-elsewhere", xmp_jpeg("<t:provenance>https://cai.example/a</t:provenance>")),
    ("c2pa-missing", xmp_jpeg(attributes=' t:provenance="self#jumbf=/c2pa/a"')),
    ("iptc-generated", xmp_jpeg(XMP_GENERATED)),
    ("iptc-generated", xmp_jpeg(attributes=' e:DigitalSourceType="trainedAlgorithmicMedia"')),
    ("iptc-generated", xmp_jpeg(f'<e:DigitalSourceType rdf:resource="{GENERATED}"/>')),
    (
        "iptc-generated",
        xmp_jpeg("<e:DigitalSourcefileType>TrainedAlgorithmicMedia</e:DigitalSourcefileType>"),
    ),
    ("iptc-generated", png((b"tEXt", b"XML:com.adobe.xmp\x00" + xmp(XMP_GENERATED)))),
    (
        "iptc-generated",
        xmp_jpeg(
            f"<e:DigitalSourceType><rdf:Bag><rdf:li>{GENERATED}/</rdf:li><rdf:li>{IPTC_URI}digitalCapture"
            "</rdf:li></rdf:Bag></e:DigitalSourceType>"
        ),
    ),
    (
        "iptc-generated",
        xmp_jpeg(
            '<e:DigitalSourceType rdf:parseType="Resource"><rdf:value>'
            f"{GENERATED}</rdf:value></e:DigitalSourceType>"
        ),
    ),
    ("iptc-generated", xmp_jpeg(XMP_GENERATED, encoding="utf-16")),
    ("iptc-generated", xmp_jpeg(XMP_GENERATED, encoding="utf-16-le")),
    ("iptc-generated", xmp_jpeg(XMP_GENERATED, encoding="utf-16-be")),
    ("iptc-part", xmp_jpeg(f"<e:DigitalSourceType>{PARTLY}</e:DigitalSourceType>")),
    ("iptc-ai-system", xmp_jpeg("<e:AISystemUsed>Example Diffusion</e:AISystemUsed>")),
    ("iptc-ai-system", xmp_jpeg("<e:AIPromptInformation>a harbour</e:AIPromptInformation>")),
    (
        "iptc-ai-system-beside",
        xmp_jpeg(
            "<e:AISystemUsed>Example Denoise</e:AISystemUsed>"
            "<e:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture</e:DigitalSourceType>"
        ),
    ),
    ("google-made", xmp_jpeg("<p:Credit>Made with Google AI</p:Credit>")),
    ("google-made", iptc_jpeg((110, "Made with Google AI"))),
    ("google-edited", xmp_jpeg("<p:Credit>Edited with Google AI</p:Credit>")),
    ("credit-ai-generated", iptc_jpeg((110, "AI Generated"))),
    ("apple-clean-up", iptc_jpeg((110, "Apple Photos Clean Up"))),
    ("midjourney-job", png(text("Description", f"a llama --ar 16:9 --v 7 Job ID: {UUID}"))),
    ("tc260-label", png(text("AIGC", LABEL))),
    ("cut-off", png((b"tEXt", b"Comment\x00" + bytes(40)))[:60]),
    ("part-not-read", png()[:40]),
    ("format-not-read", b"BM" + bytes(60)),
    ("tc260-possible", png(text("AIGC", LABEL.replace('"1", "Con', '"2", "Con')))),
    ("tc260-label", xmp_jpeg(f"<a:AIGC>{ESCAPED_LABEL}</a:AIGC>")),
    ("tc260-label", xmp_jpeg(attributes=f" a:AIGC='{LABEL}'")),
    ("tc260-label", exif_jpeg(comment=json.dumps({"AIGC": json.loads(LABEL)}))),
    ("tc260-label", exif_jpeg(ImageDescription=LABEL.replace("ProduceID", "ServiceProvider"))),
    ("tc260-label", exif_jpeg(ImageDescription=str({"AIGC": json.loads(LABEL)}))),
    ("tc260-label", png(text("AIGC", json.dumps({"AIGC": LABEL})))),
    ("tc260-label", png(text("AIGC", json.dumps(LABEL)))),
    ("tc260-label", png(text("AIGC", LABEL.replace('"', '\\"')))),
    ("tc260-label", png(text("AIGC", ESCAPED_LABEL))),
    ("tc260-label", png(text("AIGC", LABEL.replace('"1"', '"AIGC"', 1)))),
    ("tc260-label", jpeg((0xFE, json.dumps({"AIGC": json.loads(LABEL)}).encode()))),
    ("tc260-suspected", png(text("AIGC", LABEL.replace('"1"', '"3"', 1)))),
    ("flux-code", exif_jpeg(Software="AI generated;txt2img;flux")),
    ("flux-make", exif_jpeg(Make="Black Forest Labs")),
    ("ideogram-make", png((b"eXIf", exif_block(Make="Ideogram AI")))),
    ("stability-software", exif_jpeg(Software="stability.ai")),
    ("xai-signature", exif_jpeg(Artist=UUID, ImageDescription="Signature: " + "QUJD" * 20)),
    ("artist-hash", exif_jpeg(Artist="0123456789abcdef" * 4)),
    ("sd-parameters", png(text("parameters", PARAMETERS))),
    ("sd-parameters", png(late=[text("parameters", PARAMETERS)])),
    ("sd-parameters", exif_jpeg(comment=PARAMETERS)),
    ("sd-parameters", jpeg((0xFE, PARAMETERS.encode()))),
    ("sd-parameters", jpeg((0xFE, PARAMETERS.replace("\n", " ").encode()))),
    ("sd-parameters", exif_jpeg(ImageDescription=PARAMETERS)),
    ("sd-parameters", png(text("parameters", f"Steps: 3, then a door\n{PARAMETERS}"))),
    *(
        ("sd-parameters", webp((b"EXIF", tiff({}, {37510: (7, code + PARAMETERS.encode(encoding))}))))
        for code, encoding in (
            (b"UNICODE\x00", "utf-16-le"),
            (b"UNICODE\x00", "utf-16-be"),
            (b"UNICODE\x00", "utf-16"),
            (b"UNICODE\x00", "utf-8"),
            (b"ASCII\x00\x00\x00", "ascii"),
            (b"", "utf-8"),
        )
    ),
    ("comfyui-graph", png(text("prompt", GRAPH))),
    (
        "comfyui-graph",
        png(text("workflow", '{"last_node_id": 1, "nodes": [{"id": 1, "type": "x", "pos": [0, 0]}]}')),
    ),
    ("comfyui-graph", webp((b"EXIF", exif_block(Make="workflow:" + GRAPH)))),
    ("comfyui-graph", png(text("workflow", '{"nodes": [{"id": 1, "type": "KSampler", "pos": [0, 0]}]}'))),
    ("comfyui-graph", exif_jpeg(Make="Prompt:" + GRAPH, ImageDescription="Workflow: " + GRAPH)),
    ("comfyui-graph", exif_jpeg(comment=json.dumps({"prompt": json.loads(GRAPH)}))),
    ("comfyui-graph", exif_jpeg(comment=json.dumps({"workflow": "{}", "prompt": GRAPH}))),
    ("comfyui-graph", exif_jpeg(comment=GRAPH)),
    ("invokeai", png(text("invokeai_workflow", '{"nodes": [], "edges": []}'))),
    ("invokeai", png(text("invokeai_metadata", '{"generation_mode": "txt2img", "seed": 1}'))),
    ("invokeai", png(text("invokeai_graph", '{"nodes": {}, "edges": []}'))),
    ("invokeai", png(text("sd-metadata", '{"app_id": "invoke-ai/InvokeAI"}'))),
    ("invokeai", png(text("Dream", '"a harbour" -s 50 -S 123 -W 512 -H 512 -C 7.5'))),
    ("novelai", png(text("Software", "NovelAI"))),
    ("novelai", webp((b"EXIF", exif_block(comment='{"Software": "NovelAI", "Comment": "{}"}')))),
    ("fooocus", png(text("parameters", '{"base_model": "a"}'), text("fooocus_scheme", "fooocus"))),
    ("fooocus", exif_jpeg(Software="Fooocus v2.5.5")),
    ("swarmui", png(text("parameters", '{"sui_image_params": {"prompt": "a"}}'))),
    ("easy-diffusion", exif_jpeg(comment='{"prompt": "a", "use_stable_diffusion_model": "sd-v1-5"}')),
    ("easy-diffusion", png(text("Prompt", "a"), text("Stable Diffusion model", "sd-v1-5"))),
    (
        "draw-things",
        xmp_jpeg(
            "<x2:UserComment><rdf:Alt><rdf:li>"
            '{"c": "a", "uc": "", "model": "sd_v1.5_f16.ckpt", "sampler": "Euler A"}'
            "</rdf:li></rdf:Alt></x2:UserComment>"
        ),
    ),
    ("samsung-ai", jpeg(tail=samsung_trailer("PEg_Info", '{"genAIType":8}'))),
    ("samsung-ai", jpeg(tail=samsung_trailer("PEg_Info", '{"genAIType":"16"}'))),
    ("samsung-ai", png(tail=samsung_trailer("PEg_Info", '{"genAIType":8}'))),
    ("hugging-face-job", png(text("hf-job-id", UUID))),
    ("metadata-limit", png(text("parameters", "x" * LIMIT), text("Software", "NovelAI"))),
    ("stealth-text", saved(hidden("stealth_pngcomp", PARAMETERS))),
    ("stealth-signature", saved(hidden("stealth_pnginfo", "a letter"))),
    ("xmp-unreadable", xmp_jpeg("<p:Credit>AFP<broken>")),
    ("xmp-unreadable", jpeg((0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + xmp()[:150]))),
    ("xmp-damaged", xmp_jpeg("<p:Source>AFP</p:Source><broken>")),
    ("packed-unreadable", png((b"zTXt", b"XML:com.adobe.xmp\x00\x00damaged"))),
]


@pytest.mark.parametrize(
    ("marker", "data"), FILES, ids=[f"{number} {each[0]}" for number, each in enumerate(FILES)]
)
def test_the_marker_alone_gives_its_verdict(marker: str, data: bytes) -> None:
    found = read_provenance(data, LIMITS)
    kind = next(kind for kind in marker_kinds() if kind.id == marker)
    assert {each.id for each in found.markers} == {marker}
    assert (found.verdict, found.strength or "") == (kind.verdict, kind.strength)


def test_every_marker_has_a_file_here() -> None:
    assert {kind.id for kind in marker_kinds()} - {marker for marker, _ in FILES} == {"not-read"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(png(text("prompt", "C:\\> dir")), id="prompt of a shell"),
        pytest.param(png(text("parameters", "gain=3; exposure=2")), id="parameters of a camera"),
        pytest.param(png(text("parameters", "Steps: 20, then rest")), id="steps of a walk"),
        pytest.param(
            png(text("Comment", "To reproduce: Steps: 3, Seed: 5, Size: 4")), id="steps of an experiment"
        ),
        pytest.param(
            png(text("Comment", "Recipe.\nSteps: 3, Size: large, Model: cake")), id="steps of a recipe"
        ),
        pytest.param(png(text("invokeai_metadata", '{"app_version": "1"}')), id="a version alone"),
        pytest.param(png(text("workflow", '{"nodes": [], "last_node_id": 0}')), id="a workflow of nothing"),
        pytest.param(
            xmp_jpeg('<d:provenance xmlns:d="http://purl.org/dc/terms/">Bought in 1950</d:provenance>'),
            id="history of an object",
        ),
        pytest.param(xmp_jpeg("<e:AISystemUsed>N/A</e:AISystemUsed>"), id="no system"),
        pytest.param(png(text("Comment", '{"steps": 12, "walk": "home"}')), id="comment in JSON"),
        pytest.param(png(text("AIGC", "Association of Irish Golf Clubs")), id="AIGC of golfers"),
        pytest.param(png(text("AIGC", '{"Label": "1"}')), id="AIGC without a producer"),
        pytest.param(png(text("AIGC", '{"Label": "9", "ProduceID": "1"}')), id="AIGC with another label"),
        pytest.param(png(text("Dream", "of electric sheep")), id="a dream"),
        pytest.param(png(text("workflow", '{"nodes": 3}')), id="another workflow"),
        pytest.param(png(text("Software", "NovelAI Reader 2")), id="a name that begins alike"),
        pytest.param(png(text("fooocus_scheme", "fooocus")), id="a scheme without parameters"),
        pytest.param(png(text("Description", f"Printed by Job ID: {UUID}")), id="job of a printer"),
        pytest.param(png(text("Title", f"a llama --v 7 Job ID: {UUID}")), id="job in another field"),
        pytest.param(exif_jpeg(Make="Wang Labs", Software="Made with Google AI"), id="credit as software"),
        pytest.param(
            exif_jpeg(ImageDescription="Gemini11, Midjourney, stability.ai"), id="names in a caption"
        ),
        pytest.param(exif_jpeg(Artist="Leonardo", Software="Imagenation 2"), id="names of people"),
        pytest.param(exif_jpeg(Artist=UUID, ImageDescription="Signature: short"), id="no long signature"),
        pytest.param(exif_jpeg(Make="prompt:{}", Model='workflow:{"nodes": 1}'), id="no graph"),
        pytest.param(exif_jpeg(comment='{"prompt": "name?", "workflow": "approve"}'), id="a form"),
        pytest.param(jpeg((0xFE, b"Label: AIGC, Steps: 3, Seed: oak")), id="a garden"),
        pytest.param(jpeg((0xFE, b'{"AIGC": "golf", "Label": "1"}')), id="AIGC in a comment"),
        pytest.param(
            jpeg(tail=samsung_trailer("PEg_Info", '{"genAIType":true}')), id="no kind of generation"
        ),
        pytest.param(jpeg(tail=samsung_trailer("PEg_Info", '{"genAIType":-1}')), id="a negative kind"),
        pytest.param(exif_jpeg(Make="Polyphony Digital Inc."), id="a game"),
        pytest.param(
            xmp_jpeg("<p:Credit>Photo: Made with Google AI?</p:Credit>"), id="credit with more words"
        ),
        pytest.param(iptc_jpeg((120, "AI Generated"), (25, "Made with Google AI")), id="credit in caption"),
        pytest.param(
            xmp_jpeg(f"<o:DigitalSourceType>{GENERATED}</o:DigitalSourceType>"), id="other namespace"
        ),
        pytest.param(xmp_jpeg(f"<e:Other>{GENERATED}</e:Other>"), id="other property"),
        pytest.param(
            xmp_jpeg(f'<o:Part><rdf:Description e:DigitalSourceType="{GENERATED}"/></o:Part>'),
            id="of something within",
        ),
        pytest.param(
            xmp_jpeg(f"<e:DigitalSourceType>{IPTC_URI}algorithmicMedia</e:DigitalSourceType>"), id="a plot"
        ),
        pytest.param(
            xmp_jpeg(f"<e:DigitalSourceType>{IPTC_URI}digitalCapture</e:DigitalSourceType>"), id="a camera"
        ),
        pytest.param(xmp_jpeg("<o:CreatorTool>Canva</o:CreatorTool>"), id="Canva alone"),
        pytest.param(iptc_jpeg((40, "FBMD01000a86")), id="handled by Facebook"),
        pytest.param(jpeg(tail=samsung_trailer("PEg_Info", '{"genAIType":0}')), id="no generation"),
        pytest.param(jpeg(tail=b"c2pa jumb <x:xmpmeta Made with Google AI"), id="bytes behind the image"),
        pytest.param(png((b"IDAT", b"c2pa jumb trainedAlgorithmicMedia")), id="bytes among pixels"),
        pytest.param(jpeg(*app11(jumb("other"))), id="JUMBF of another kind"),
    ],
)
def test_what_only_looks_like_a_marker_is_none(data: bytes) -> None:
    found = read_provenance(data, LIMITS)
    assert (found.verdict, found.strength, found.markers) == ("none", None, ())


def test_the_strongest_claim_is_the_verdict_and_all_markers_stay() -> None:
    made = manifest("a", action("c2pa.edited", PARTLY, "Firefly"), generator="Photoshop")
    found = read_provenance(
        png((b"caBX", b""), text("parameters", PARAMETERS), (b"caBX", store(made))), LIMITS
    )
    assert (found.verdict, found.strength) == ("ai_generated", "plain")
    assert (found.by, found.says) == (("sd-parameters", "c2pa-part"), ())


def test_credits_are_told_xmp_before_iim() -> None:
    packet = b"http://ns.adobe.com/xap/1.0/\x00" + xmp(
        "<dc:creator><rdf:Seq><rdf:li>Maria</rdf:li><rdf:li>Jo</rdf:li></rdf:Seq></dc:creator>"
        '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">A harbour</rdf:li></rdf:Alt></dc:description>'
    )
    records = photoshop(iptc((80, "Someone else"), (115, "AFP"), (116, "© AFP")))
    found = read_provenance(jpeg((0xE1, packet), (0xED, b"Photoshop 3.0\x00" + records)), LIMITS)
    assert (found.byline, found.caption) == ("Maria; Jo", "A harbour")
    assert (found.source, found.copyright, found.credit) == ("AFP", "© AFP", None)
