"""One table of file signatures: the images that sidscan reads, those it does not, and what may hold images.

A folder's walk, lists, ``--save-dir`` and the decoder all ask this table, so that none of them knows a format
that another does not. First bytes count more than names: a JPEG named ``a.zip`` is a JPEG.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

SIGNATURE_BYTES = 512  # bytes at the start of a file that every signature fits into
TAIL_BYTES = 18  # bytes at the end of a file, which identify TGA (Truevision TGA 2.0, footer)


class FileKind(Enum):
    """What sidscan does with a file; the value is what a row says of files that it does not open."""

    IMAGE = ""
    RAW = "camera raw files have no pixels of their own"
    UNREAD = "this format is not read"
    VIDEO = "frames of videos are not scored"
    ARCHIVE = "images in archives are not scored; unpack it and scan the folder"
    DOCUMENT = "images in documents are not scored; export them and scan those"
    DRAWING = "a drawing has no pixels of its own; images in it are not scored"

    @property
    def may_hold_images(self) -> bool:
        """Whether its files are no images, but may hold some: a walk skips them and says so."""
        return self in (FileKind.VIDEO, FileKind.ARCHIVE, FileKind.DOCUMENT, FileKind.DRAWING)


@dataclass(frozen=True, slots=True)
class FileFormat:
    """A file format.

    Attributes:
        name: Pillow's name where it reads it, which is also the ``format`` of a report's row.
        noun: what a message calls one of its files, with an article.
        suffixes: ends of the names under which its files travel, in lower case.
        signature: what its first bytes match; None where only names tell.
        within: name of the format whose signature its files have, e.g. ZIP; their own name then decides.
    """

    name: str
    kind: FileKind
    noun: str
    suffixes: tuple[str, ...]
    signature: re.Pattern[bytes] | None
    within: str = ""

    @property
    def saved_suffix(self) -> str:
        """End of the name under which ``--save-dir`` keeps a file; empty for what is no image."""
        return "" if self.kind.may_hold_images else self.suffixes[0]

    @property
    def not_opened(self) -> str:
        """What a row says of a file that is not opened, e.g. ``a ZIP archive: images in archives ...``."""
        is_packed = self.kind is FileKind.DOCUMENT and self.within == "ZIP"
        return f"{self.noun}: {self.kind.value}{', or name the document itself' if is_packed else ''}"


def _table(kind: FileKind, *rows: tuple[str, str, str, bytes | None], within: str = "") -> list[FileFormat]:
    """Formats of one kind; each row is name, noun, suffixes (the first one is for saved files), signature."""
    return [
        FileFormat(
            name,
            kind,
            noun,
            tuple(suffixes.split()),
            re.compile(signature, re.DOTALL) if signature else None,
            within,
        )
        for name, noun, suffixes, signature in rows
    ]


# JPEG includes MPO. Much text begins with "BM", so BMP also asks for its reserved bytes or its second header.
# AVIF and HEIF are ISO base media files (ISO/IEC 14496-12), which name their brand after "ftyp"; general
# brands (mif1, msf1) may be followed by AVIF's among the compatible ones.
_IMAGES = _table(
    FileKind.IMAGE,
    ("JPEG", "a JPEG image", ".jpg .jpeg .jpe .jfif .jif .jfi .pjpeg .mpo", rb"\xff\xd8\xff"),
    ("PNG", "a PNG image", ".png .apng", rb"\x89PNG\r\n\x1a\n"),
    ("WEBP", "a WebP image", ".webp", rb"RIFF.{4}WEBP"),
    # The last four are BigTIFF, and byte orders that only Pillow accepts.
    ("TIFF", "a TIFF image", ".tiff .tif", rb"II[*+]\x00(?!.{4}CR\x02)|MM\x00[*+]|MM\*\x00|II\x00\*"),
    ("BMP", "a BMP image", ".bmp .dib", rb"BM.{4}(?:\x00{4}|.{8}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00{3})"),
    ("GIF", "a GIF image", ".gif", rb"GIF8[79]a"),
    ("AVIF", "an AVIF image", ".avif .avifs", rb".{4}ftyp(avi[fs]|m[is]f1.{4}(?:.{4}){0,8}?avi[fs])"),
    ("HEIF", "a HEIC image", ".heic .heif .hif .heics .heifs", rb".{4}ftyp(hei[cxms]|hev[cxms]|m[is]f1)"),
    (
        "JPEG2000",
        "a JPEG 2000 image",
        ".jp2 .j2k .jpx .jpf .jpc .j2c .jph .jhc",
        rb"\x00{3}\x0cjP(  |\x1a\x1a)\r\n\x87\n(?!.{8}(?:jpm |mjp2))|\xff\x4f\xff\x51",
    ),
    ("PSD", "a Photoshop image (PSD)", ".psd .pdd", rb"8BPS\x00\x01"),
    ("JXL", "a JPEG XL image", ".jxl", rb"\xff\x0a|\x00{3}\x0cJXL \r\n\x87\n"),
)
_RAW = _table(
    FileKind.RAW,
    ("CR2", "a Canon CR2 raw file", ".cr2", rb"II\*\x00.{4}CR\x02"),
    ("CR3", "a Canon CR3 raw file", ".cr3", rb".{4}ftypcrx "),
    ("CRW", "a Canon CRW raw file", ".crw", rb"(II|MM).{4}HEAPCCDR"),
    ("RAF", "a Fujifilm RAF raw file", ".raf", rb"FUJIFILMCCD-RAW"),
    ("RW2", "a Panasonic RW2 raw file", ".rw2", rb"IIU\x00"),
    ("ORF", "an Olympus ORF raw file", ".orf .ori", rb"IIR[OS]|MMOR"),
    ("X3F", "a Sigma X3F raw file", ".x3f", rb"FOVb"),
    ("MRW", "a Minolta MRW raw file", ".mrw", rb"\x00MRM"),
)
_RAW_TIFF = _table(
    FileKind.RAW,
    ("DNG", "a DNG raw file", ".dng .gpr", None),
    ("NEF", "a Nikon raw file", ".nef .nrw", None),
    ("ARW", "a Sony raw file", ".arw .sr2 .srf", None),
    ("PEF", "a Pentax raw file", ".pef", None),
    ("SRW", "a Samsung raw file", ".srw", None),
    ("DCR", "a Kodak raw file", ".dcr .kdc .k25", None),
    ("3FR", "a Hasselblad raw file", ".3fr .fff", None),
    ("IIQ", "a Phase One raw file", ".iiq", None),
    ("ERF", "an Epson raw file", ".erf", None),
    ("MEF", "a Mamiya raw file", ".mef", None),
    ("MOS", "a Leaf raw file", ".mos", None),
    ("RWL", "a Leica raw file", ".rwl", None),
    within="TIFF",
)
_UNREAD = _table(
    FileKind.UNREAD,
    ("PSB", "a large Photoshop image (PSB)", ".psb", rb"8BPS\x00\x02"),
    (
        "MIAF",
        "a HEIF image of a rare codec",
        ".avci .avcs .vvic",
        rb".{4}ftyp(?:avc[is]|jpe[gs]|jpgs|j2[ki][is]|vvi[cs]|ev[bm][is]|miaf|MiH|MiPr|MA1[AB]|1pic|unif|mif[23])",
    ),
    ("JPEGXR", "a JPEG XR image", ".jxr .wdp .hdp", rb"II\xbc[\x00\x01]"),
    ("BPG", "a BPG image", ".bpg", rb"BPG\xfb"),
    ("FLIF", "a FLIF image", ".flif", rb"FLIF[1-9AC]"),
    ("TGA", "a TGA image", ".tga", None),  # its footer tells: see `identify`
    ("ICO", "an icon (ICO)", ".ico", rb"\x00\x00\x01\x00[\x01-\xff]\x00.{3}\x00[\x00\x01]\x00"),
    ("CUR", "a cursor (CUR)", ".cur", rb"\x00\x00\x02\x00[\x01-\xff]\x00.{3}\x00"),
    ("ICNS", "an icon (ICNS)", ".icns", rb"icns\x00"),
    ("DDS", "a DDS texture", ".dds", rb"DDS \x7c\x00\x00\x00"),
    ("KTX", "a KTX texture", ".ktx .ktx2", rb"\xabKTX [12][10]\xbb"),
    ("EXR", "an OpenEXR image", ".exr", rb"\x76\x2f\x31\x01"),
    ("HDR", "a Radiance HDR image", ".rgbe", rb"#\?(RADIANCE|RGBE)[\r\n]"),
    ("QOI", "a QOI image", ".qoi", rb"qoif.{8}[\x03\x04]"),
    ("FITS", "a FITS image", ".fits", rb"SIMPLE  ="),
    ("DICOM", "a DICOM image", ".dcm .dicom", rb".{128}DICM"),
    ("NIFTI", "a NIfTI image", ".nii", None),
    ("CZI", "a Zeiss CZI image", ".czi", rb"ZISRAWFILE"),
    ("XCF", "a GIMP image (XCF)", ".xcf", rb"gimp xcf "),
    ("PSP", "a Paint Shop Pro image", ".pspimage", rb"Paint Shop Pro Image File"),
    ("PDN", "a Paint.NET image", ".pdn", rb"PDN3"),
    ("CLIP", "a Clip Studio image", ".clip", rb"CSFCHUNK"),
    (
        "PNM",
        "a PNM image",
        ".ppm .pgm .pbm .pnm .pam .pfm",
        rb"P(?:[1-6]\s+(?:#[^\n]*\n\s*)*\d+\s+(?:#[^\n]*\n\s*)*\d+\s|7\n(?:#|WIDTH)|[Ff]\n\d+\s\d+\s)",
    ),
    ("PCX", "a PCX image", ".pcx .dcx", rb"\x0a[\x00-\x05][\x00\x01][\x01\x02\x04\x08]|\xb1\x68\xde\x3a"),
    ("SGI", "an SGI image", ".sgi", rb"\x01\xda[\x00\x01][\x01\x02]\x00[\x01-\x03]"),
    ("SUN", "a Sun raster image", ".ras", rb"\x59\xa6\x6a\x95"),
    ("DPX", "a DPX image", ".dpx", rb"SDPX|XPDS|\x80\x2a\x5f\xd7"),
    ("MNG", "an MNG or JNG image", ".mng .jng", rb"[\x8a\x8b][MJ]NG\r\n\x1a\n"),
    ("IFF", "an IFF image", ".iff .lbm .ilbm", rb"FORM.{4}(ILBM|PBM |ACBM|RGB8)"),
    ("XPM", "an XPM image", ".xpm", rb"/\* XPM \*/"),
    ("PICT", "a PICT image", ".pict .pct", None),
)
_UNREAD_PROJECTS = _table(
    FileKind.UNREAD,
    ("KRA", "a Krita image", ".kra .krz", None),
    ("ORA", "an OpenRaster image", ".ora", None),
    ("PROCREATE", "a Procreate image", ".procreate", None),
    within="ZIP",
)
# Sound in the same containers (M4A, M4B, WAV) is no video. QuickTime files may lack "ftyp".
_VIDEOS = _table(
    FileKind.VIDEO,
    ("QUICKTIME", "a QuickTime video", ".mov .qt", rb".{4}(ftypqt  |moov|mdat|wide|pnot)"),
    (
        "MP4",
        "an MP4 video",
        ".mp4 .m4v .3gp .3g2 .f4v .insv .mj2",
        rb".{4}ftyp(?!M4[AB] |crx |avi[fs]|hei|hev|m[is]f1|jp2 |jxl )|\x00{3}\x0cjP  \r\n\x87\n.{8}mjp2",
    ),
    ("AVI", "an AVI video", ".avi .divx", rb"RIFF.{4}AVI |RIFF.{4}AVIX"),
    ("MATROSKA", "a Matroska or WebM video", ".mkv .webm .mk3d", rb"\x1a\x45\xdf\xa3"),
    (
        "MPEG",
        "an MPEG video",
        ".mpg .mpeg .vob .m2v .m2ts .mts",
        rb"\x00\x00\x01[\xba\xb3]|(?:\x47.{187}){2}\x47|(?:.{4}\x47.{187}){2}.{4}\x47",
    ),
    ("ASF", "a Windows Media video", ".wmv .asf", rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    ("FLV", "a Flash video", ".flv .swf", rb"FLV\x01|[CFZ]WS[\x01-\x40].{4}[\x40-\x7f]"),
    ("OGV", "an Ogg video", ".ogv", rb"OggS.{24,80}(\x80theora|BBCD\x00)"),
    ("MXF", "an MXF video", ".mxf", rb"\x06\x0e\x2b\x34\x02\x05\x01\x01"),
    ("REALMEDIA", "a RealMedia video", ".rm .rmvb", rb"\.RMF\x00"),
    ("BRAW", "a camera's raw video", ".braw .r3d .crm", None),
)
_ARCHIVES = _table(
    FileKind.ARCHIVE,
    ("ZIP", "a ZIP archive", ".zip .zipx", rb"PK(\x03\x04|\x05\x06|\x07\x08)"),
    ("7Z", "a 7z archive", ".7z", rb"7z\xbc\xaf\x27\x1c"),
    ("RAR", "a RAR archive", ".rar", rb"Rar!\x1a\x07"),
    ("TAR", "a tar archive", ".tar", rb".{257}ustar"),
    ("GZIP", "a gzip archive", ".gz .tgz", rb"\x1f\x8b\x08"),
    ("BZIP2", "a bzip2 archive", ".bz2 .tbz2", rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    ("XZ", "an xz archive", ".xz .txz", rb"\xfd7zXZ\x00"),
    ("ZSTD", "a Zstandard archive", ".zst .tzst", rb"\x28\xb5\x2f\xfd"),
    ("LZ4", "an LZ4 archive", ".lz4", rb"\x04\x22\x4d\x18"),
    ("CAB", "a Windows cabinet", ".cab", rb"MSCF\x00"),
    ("LZH", "an LZH archive", ".lzh .lha", rb".{2}-lh[0-7sd]-"),
    (
        "ISO",
        "a disk image",
        ".iso .dmg .vhd .vmdk .vhdx .e01 .dd",
        rb"EVF\x09\r\n\xff|KDMV|conectix|vhdxfile",
    ),
    ("PARQUET", "a Parquet file", ".parquet .parq", rb"PAR1"),
    ("WARC", "a web archive", ".warc .wacz", rb"WARC/[01]\."),
)
_COMICS = _table(FileKind.ARCHIVE, ("COMIC", "a comic book archive", ".cbz", None), within="ZIP")
_PACKED_DOCUMENTS = _table(
    FileKind.DOCUMENT,
    ("DOCX", "a Word document", ".docx .docm .dotx", None),
    ("XLSX", "an Excel workbook", ".xlsx .xlsm .xlsb", None),
    ("PPTX", "a PowerPoint presentation", ".pptx .pptm .ppsx .potx", None),
    ("ODF", "an OpenDocument file", ".odt .odp .ods .odg .odi", None),
    ("EPUB", "an EPUB book", ".epub", None),
    ("IWORK", "an iWork document", ".pages .numbers .key", None),
    ("XPS", "an XPS document", ".xps .oxps", None),
    within="ZIP",
)
_OLE_DOCUMENTS = _table(
    FileKind.DOCUMENT,
    ("DOC", "a Word document", ".doc .dot", None),
    ("XLS", "an Excel workbook", ".xls", None),
    ("PPT", "a PowerPoint presentation", ".ppt .pps", None),
    ("MSG", "an Outlook message", ".msg", None),
    ("PUB", "a Publisher document", ".pub", None),
    within="OLE",
)
_DOCUMENTS = _table(
    FileKind.DOCUMENT,
    ("PDF", "a PDF document", ".pdf", rb"(?:\xef\xbb\xbf)?\s{0,16}%PDF-"),
    ("OLE", "a Microsoft Office document", ".ole", rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ("DJVU", "a DjVu document", ".djvu .djv", rb"AT&TFORM.{4}DJV"),
    ("RTF", "an RTF document", ".rtf", rb"\{\\rtf"),
    ("MOBI", "a Kindle book", ".mobi .azw .azw3 .prc", rb".{60}BOOKMOBI"),
    ("MHTML", "a saved web page or mail", ".mht .mhtml .eml .mbox", None),
    (
        "INDD",
        "an InDesign document",
        ".indd",
        rb"\x06\x06\xed\xf5\xd8\x1d\x46\xe5\xbd\x31\xef\xe7\xfe\x74\xb7\x1d",
    ),
)
_XML_HEAD = (
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?"
    rb"(?:<!--(?:(?!-->).)*-->\s*|<!DOCTYPE\s+svg[^>]{0,400}>\s*){0,4}"
)
_DRAWINGS = _table(
    FileKind.DRAWING,
    ("SVG", "an SVG drawing", ".svg .svgz", _XML_HEAD + rb"<svg[\s>]"),
    ("EPS", "a PostScript or EPS file", ".eps .ps .epsf", rb"%!PS|\xc5\xd0\xd3\xc6"),
    ("EMF", "an EMF drawing", ".emf", rb"\x01\x00\x00\x00.{36} EMF"),
    ("WMF", "a WMF drawing", ".wmf", rb"\xd7\xcd\xc6\x9a"),
    ("DWG", "a CAD drawing", ".dwg .dxf", rb"AC10[0-9]{2}"),
    ("CDR", "a CorelDRAW drawing", ".cdr", rb"RIFF.{4}CDR"),
)
_AI = _table(FileKind.DRAWING, ("AI", "an Illustrator drawing", ".ai", None), within="PDF")

FILE_FORMATS = (
    *_IMAGES, *_RAW, *_RAW_TIFF, *_UNREAD, *_UNREAD_PROJECTS, *_VIDEOS, *_ARCHIVES, *_COMICS,
    *_PACKED_DOCUMENTS, *_OLE_DOCUMENTS, *_DOCUMENTS, *_DRAWINGS, *_AI,
)  # fmt: skip
IMAGE_FORMATS = tuple(known for known in FILE_FORMATS if known.kind is FileKind.IMAGE)
_BY_SUFFIX = {suffix: known for known in FILE_FORMATS for suffix in known.suffixes}
_SIGNED = tuple((known, known.signature) for known in FILE_FORMATS if known.signature)
_TGA_FOOTER = b"TRUEVISION-XFILE.\x00"


def identify(head: bytes, tail: bytes = b"") -> FileFormat | None:
    """The format that a file's first bytes state; None for an unknown one.

    Args:
        head: `SIGNATURE_BYTES` or more, or the whole file.
        tail: the last `TAIL_BYTES` or more.
    """
    head = head[:SIGNATURE_BYTES]
    for known, signature in _SIGNED:
        if signature.match(head):
            return known
    return _BY_SUFFIX[".tga"] if tail.endswith(_TGA_FOOTER) else None


def identify_name(name: str) -> FileFormat | None:
    """The format that the end of a file's name states; None for an unknown one."""
    dot = name.rfind(".")
    return _BY_SUFFIX.get(name[dot:].lower()) if dot >= 0 else None


def identify_file(name: str, head: bytes, tail: bytes = b"") -> FileFormat | None:
    """The format of a file: what its bytes state; its name decides only where bytes leave it open."""
    by_bytes, by_name = identify(head, tail), identify_name(name)
    if by_bytes is None and by_name is not None and by_name.within and by_name.kind.may_hold_images:
        return None  # e.g. a text named a.key, which is no iWork document
    if by_bytes is None or (by_name is not None and by_name.within == by_bytes.name):
        return by_name
    return by_bytes
