"""readme - the README's examples, for those who prove them by use."""
import json
import re
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def block(language, holding):
    """The text of the one fenced block in this language that holds these words."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"),
                        re.M | re.S)
    found = [b for b in blocks if holding in b]
    if len(found) != 1:
        raise LookupError(f"README.md: {len(found)} {language} blocks hold {holding!r}")
    return found[0]


def bucket_cors(origins):
    """The bucket's CORS configuration, for these origins."""
    cors = json.loads(block("json", '"CORSRules"'))
    for rule in cors["CORSRules"]:
        rule["AllowedOrigins"] = origins
    return cors
