BEGIN TRANSACTION;
CREATE TABLE header (key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO "header" VALUES('format','"1"');
INSERT INTO "header" VALUES('sidscan_version','"0.1.0"');
INSERT INTO "header" VALUES('started','"2026-11-28T06:36:29+00:00"');
INSERT INTO "header" VALUES('models','[{"name": "mini", "digest": "4e60028543cc4fa3", "threshold": 0.747, "files": {"mini": "4e60028543cc4fa3b33cbcf7b73504ea36f0acf796e8aadb95c6665d6c53e9f2"}, "provenance": {"mini": "bundled"}, "abstention": {"side": 128, "detail": 0.1, "quality": 20, "spread": 0.0}}]');
INSERT INTO "header" VALUES('model_choice','"asked for"');
INSERT INTO "header" VALUES('model_provenance','"mini: bundled"');
INSERT INTO "header" VALUES('runtime','"pytorch 2.14.1+cu130"');
INSERT INTO "header" VALUES('device','"cpu"');
INSERT INTO "header" VALUES('precision','"fp32"');
INSERT INTO "header" VALUES('precision_choice','""');
INSERT INTO "header" VALUES('graph','""');
INSERT INTO "header" VALUES('decoder','"Pillow 13.0.0 pillow-heif 1.8.1"');
INSERT INTO "header" VALUES('crops','"center"');
INSERT INTO "header" VALUES('inputs','["images", "https://***@127.0.0.1:9/a.jpg", "images/notes.jpg"]');
INSERT INTO "header" VALUES('lists','[]');
INSERT INTO "header" VALUES('calibrations','{}');
INSERT INTO "header" VALUES('private','true');
INSERT INTO "header" VALUES('finished','"2026-11-28T06:36:31+00:00"');
INSERT INTO "header" VALUES('sessions','[{"started": "2026-11-28T06:36:29+00:00", "ended": "2026-11-28T06:36:31+00:00", "ending": "finished", "findings": 7, "command": null, "folder": null, "host": null, "sidscan_version": "0.1.0", "platform": "Linux-6.1-x86_64-with-glibc2.36", "python": "3.11.7", "libraries": {"pillow": "13.0.0", "pillow-heif": "1.8.1", "exifread": "3.5.1", "numpy": "2.4.6", "torch": "2.14.1+cu130", "open_clip_torch": "3.3.0", "onnxruntime-gpu": "1.31.1", "jpg": "6.2", "libjpeg_turbo": "3.2.0", "zlib": "1.2.13", "zlib_ng": "2.3.3", "libtiff": "4.7.2", "webp": "1.6.0", "avif": "1.4.2", "libheif": "1.23.6"}, "limits": {"crops": "center", "max_bytes": 1073741824, "max_pixels": 178956970, "max_side": 65535, "max_ratio": 1000, "max_metadata": 16777216, "max_metadata_reads": 1000000, "allow_truncated": false, "isolation": true, "item_timeout": 30.0, "memory_limit": 2048}, "resources": {"cores": 2, "workers": 2, "batch": 40, "batches_at_once": 2, "devices": 1}}]');
CREATE TABLE items (
    position INTEGER PRIMARY KEY,
    name BLOB NOT NULL UNIQUE,  -- bytes: paths need not be UTF-8
    kind TEXT NOT NULL,
    stamp TEXT NOT NULL,
    skip TEXT NOT NULL,
    status TEXT,                -- NULL until there is a finding
    settings TEXT,              -- digest of what made the score
    finding TEXT
);
INSERT INTO "items" VALUES(1,X'696D616765732F3D312B312E6A7067','file','2:1795847786078683174','','failed','c9f8ce5924f9c46105028fc6c055a99044492c574fd4bd4b7adb4dee7c49fa08','{"name":"images/=1+1.jpg","kind":"file","status":"failed","facts":{"bytes":2,"sha256":"b413f47d13ee2fe6c845b2ee141af81de858df4ec549a58b7970bb96645bc8d2","format":null,"width":null,"height":null,"flags":[],"exif":{"make":null,"model":null,"lens":null,"original_date":null,"software":null,"latitude":null,"longitude":null,"orientation":null,"tags":{}},"response":null,"jpeg_quality":null},"scanned_at":"2026-11-28T06:36:31+00:00","stage":"decode","error":"UnsupportedPicture","message":"not a picture of a supported format, or damaged at its start (JPEG, PNG, WEBP, TIFF, BMP, GIF, AVIF, HEIC)","scores":[],"views":0}');
INSERT INTO "items" VALUES(2,X'696D616765732F6375742E6A7067','file','9000:1795847786078683174','','truncated','c9f8ce5924f9c46105028fc6c055a99044492c574fd4bd4b7adb4dee7c49fa08','{"name":"images/cut.jpg","kind":"file","status":"truncated","facts":{"bytes":9000,"sha256":"0a6c7d071e80b28dacb9744a390a69f679775686499d7e07fb459813b7105183","format":null,"width":null,"height":null,"flags":[],"exif":{"make":null,"model":null,"lens":null,"original_date":null,"software":null,"latitude":null,"longitude":null,"orientation":null,"tags":{}},"response":null,"jpeg_quality":null},"scanned_at":"2026-11-28T06:36:31+00:00","stage":"decode","error":"Truncated","message":"image file is truncated (7 bytes not processed); score what there is with --allow-truncated","scores":[],"views":0}');
INSERT INTO "items" VALUES(3,X'696D616765732F68696C6C732E6A7067','file','25931:1795847786076921138','','scored','b50a069ed7ba5bbf3012b9f004e847334e6dbbb02ede9381a44d200382518ab3','{"name":"images/hills.jpg","kind":"file","status":"scored","facts":{"bytes":25931,"sha256":"dffa0eebd650660fd6dea71d0a22eba2fa2b0e08896dfe4bba588442cf704fc8","format":"JPEG","width":640,"height":480,"flags":[],"exif":{"make":"Example","model":"Example One","lens":null,"original_date":"2024:05:06 07:08:09","software":"examples/make_images.py","latitude":null,"longitude":null,"orientation":null,"tags":{"Image Make":"Example","Image Model":"Example One","Image Software":"examples/make_images.py","Image ExifOffset":106,"EXIF DateTimeOriginal":"2024:05:06 07:08:09"}},"response":null,"jpeg_quality":85},"scanned_at":"2026-11-28T06:36:31+00:00","stage":null,"error":null,"message":null,"scores":[{"model":"mini","digest":"4e60028543cc4fa3","threshold":0.747,"score":0.18686407548882997,"logit":-1.4705168008804321,"evidence":"weak","crop_min":0.18686407548882997,"crop_max":0.18686407548882997,"crop_std":0.0,"p_value":null,"inconclusive":[]}],"views":1}');
INSERT INTO "items" VALUES(4,X'696D616765732F6E6F7465732E6A7067','file','13:1795847786078683174','','failed','c9f8ce5924f9c46105028fc6c055a99044492c574fd4bd4b7adb4dee7c49fa08','{"name":"images/notes.jpg","kind":"file","status":"failed","facts":{"bytes":13,"sha256":"c04bee9d659201c6647cbc29f7c2e1556b8370c54f4a50a32d84ceab2fddf6cd","format":null,"width":null,"height":null,"flags":[],"exif":{"make":null,"model":null,"lens":null,"original_date":null,"software":null,"latitude":null,"longitude":null,"orientation":null,"tags":{}},"response":null,"jpeg_quality":null},"scanned_at":"2026-11-28T06:36:31+00:00","stage":"decode","error":"UnsupportedPicture","message":"not a picture of a supported format, or damaged at its start (JPEG, PNG, WEBP, TIFF, BMP, GIF, AVIF, HEIC)","scores":[],"views":0}');
INSERT INTO "items" VALUES(5,X'696D616765732F6E6F7465732E747874','file','6:1795847786078683174','not a picture: neither its name nor its first bytes say so','skipped','c9f8ce5924f9c46105028fc6c055a99044492c574fd4bd4b7adb4dee7c49fa08','{"name":"images/notes.txt","kind":"file","status":"skipped","facts":{"bytes":null,"sha256":null,"format":null,"width":null,"height":null,"flags":[],"exif":{"make":null,"model":null,"lens":null,"original_date":null,"software":null,"latitude":null,"longitude":null,"orientation":null,"tags":{}},"response":null,"jpeg_quality":null},"scanned_at":"2026-11-28T06:36:31+00:00","stage":"list","error":"Skipped","message":"not a picture: neither its name nor its first bytes say so","scores":[],"views":0}');
INSERT INTO "items" VALUES(6,X'696D616765732F7468756D626E61696C2E6A7067','file','3210:1795847786063763491','','scored','b50a069ed7ba5bbf3012b9f004e847334e6dbbb02ede9381a44d200382518ab3','{"name":"images/thumbnail.jpg","kind":"file","status":"scored","facts":{"bytes":3210,"sha256":"292c5ebabbc45d2f260dbd81553b8e32bb126dc44b4ae47ccd045d2ef4a643af","format":"JPEG","width":160,"height":120,"flags":["padded"],"exif":{"make":null,"model":null,"lens":null,"original_date":null,"software":null,"latitude":null,"longitude":null,"orientation":null,"tags":{}},"response":null,"jpeg_quality":85},"scanned_at":"2026-11-28T06:36:31+00:00","stage":null,"error":null,"message":null,"scores":[{"model":"mini","digest":"4e60028543cc4fa3","threshold":0.747,"score":0.25997289507352406,"logit":-1.0461094379425049,"evidence":"inconclusive","crop_min":0.25997289507352406,"crop_max":0.25997289507352406,"crop_std":0.0,"p_value":null,"inconclusive":["small"]}],"views":1}');
INSERT INTO "items" VALUES(7,X'68747470733A2F2F2A2A2A403132372E302E302E313A392F612E6A7067','url','','','refused','c9f8ce5924f9c46105028fc6c055a99044492c574fd4bd4b7adb4dee7c49fa08','{"name":"https://***@127.0.0.1:9/a.jpg","kind":"url","status":"refused","facts":{"bytes":null,"sha256":null,"format":null,"width":null,"height":null,"flags":[],"exif":{"make":null,"model":null,"lens":null,"original_date":null,"software":null,"latitude":null,"longitude":null,"orientation":null,"tags":{}},"response":null,"jpeg_quality":null},"scanned_at":"2026-11-28T06:36:31+00:00","stage":"fetch","error":"UrlRefused","message":"the URL holds a user name or password; none is ever sent, so take it out","scores":[],"views":0}');
CREATE TABLE retired(
  position INT,
  name,
  kind TEXT,
  stamp TEXT,
  skip TEXT,
  status TEXT,
  settings TEXT,
  finding TEXT
);
CREATE INDEX pending ON items (position) WHERE finding IS NULL;
CREATE INDEX bytes ON items (json_extract(finding, '$.facts.sha256')) WHERE status = 'scored';
COMMIT;
