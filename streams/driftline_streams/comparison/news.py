"""Which findings are news: those that do not stand in `detections` yet.

In the walk: the last step of the watches over segments and groups.
"""

from __future__ import annotations

from collections.abc import Sequence

from driftline_schemas.records import Detection
from driftline_streams.kernel import findings
from driftline_streams.kernel.effects import Named
from driftline_streams.kernel.query import Query

KNOWN = """
SELECT DISTINCT id FROM detections WHERE model = {model:String} AND kind = {kind:String} AND method = {method:String}
"""


async def news(query: Query, found: Sequence[Detection], prefix: str, now_ms: int) -> Named:
    """What is to be published of findings of one model, kind and method; raises what the query raises."""
    if not found:
        return Named()
    which = {name: getattr(found[0], name) for name in ("model", "kind", "method")}
    known = {row["id"] for row in await query(KNOWN, which)}
    new = [each for each in found if each.id not in known]
    if not new:
        return Named()
    name = f"{which['method']}:{findings.id_of(*(each.id for each in new))}"
    return Named(name, findings.effects(new, prefix, now_ms))
