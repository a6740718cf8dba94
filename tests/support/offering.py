"""Offering a file at the pages, and keeping one without them. What must not live here: expectations of the pages."""

import hashlib
import io
import zipfile

from node.host.kept_files import KeptFiles
from node.usecases.filing import Filing
from tests.support.portal_world import A_PDF, FILE_FORM


def a_pdf(text):
    return A_PDF + b"% " + text.encode() + b"\n"


async def offer(visitor, title, content, name="讲义.pdf", **fields):
    return await visitor.upload("/contribute/new", content, name, {**FILE_FORM, "title": title, **fields})


async def offered(visitor, title, content, name="讲义.pdf", **fields):
    """(id of the resource, path of its file)."""
    answer = await offer(visitor, title, content, name, **fields)
    assert answer.status == 303, answer.text
    resource_id = answer.location.partition("/contribute/of/")[2].partition("?")[0]
    return resource_id, f"/file/{hashlib.sha256(content).hexdigest()}/{resource_id}"


def packed(*parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts:
            archive.writestr(name, content)
    return buffer.getvalue()


def filing_of(node, limits):
    return Filing(
        store=node.store, clock=node.clock, noting=node.noting, folder=KeptFiles(node.home.files), limits=limits
    )


async def keep(filing, person, content):
    staged = await filing.stage(person)
    await staged.write(content)
    return await filing.keep(person, staged, name="a.pdf", media_type="application/pdf")
