"""A page that says that it is a part of a list is not taken for the whole without a word.

Its orders are sent all the same: nobody is mailed who is not asked for. All pages of a command
count together.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.cli.conftest import Desk, desk_with_ca

OF_TWELVE = "its page says that there are 12 in all, of which {} are here: fetch the other pages"
NEXT = "its page names a next one: fetch that, too"

Page = Mapping[str, object]


def orders(*numbers: int) -> list[Page]:
    return [{"order_id": 100200300 + n, "locale": "en"} for n in numbers]


def of_the_ca(*numbers: int, total: int = 12) -> Page:
    return {"orders": orders(*numbers), "page": {"total": total, "limit": 2, "offset": 0}}


ONE_PAGE: Mapping[str, tuple[Page, str]] = {
    "the CA's": (of_the_ca(1, 2), OF_TWELVE.format(2)),
    "the CA's, with the page first": (
        {"page": {"total": 12}, "orders": orders(1, 2)}, OF_TWELVE.format(2),
    ),
    "a total": ({"total": 12, "items": orders(1, 2)}, OF_TWELVE.format(2)),
    "a count": ({"count": 12, "next": None, "results": orders(1, 2)}, OF_TWELVE.format(2)),
    "a total within": (
        {"meta": {"pagination": {"totalCount": 12}}, "data": orders(1)}, OF_TWELVE.format(1),
    ),
    "a total beside the list within": (
        {"data": {"totalElements": 12, "items": orders(1)}}, OF_TWELVE.format(1),
    ),
    "a total as an object": (
        {"hits": {"total": {"value": 12, "relation": "eq"}, "hits": orders(1)}},
        OF_TWELVE.format(1),
    ),
    "a next page": ({"data": orders(1), "next_page": 2}, NEXT),
    "a link": ({"data": orders(1), "links": {"next": "https://x.example/?page=2"}}, NEXT),
    "a link as an object": ({"data": orders(1), "_links": {"next": {"href": "/p/2"}}}, NEXT),
    "one of several links": (
        {"data": orders(1), "links": [{"rel": "self"}, {"rel": "next", "href": "/p/2"}]}, NEXT,
    ),
    "a cursor": ({"nodes": orders(1), "pageInfo": {"hasNextPage": True, "endCursor": "x"}}, NEXT),
    "by OData": ({"@odata.nextLink": "/p/2", "value": orders(1)}, NEXT),
}  # fmt: skip
WHOLE: Mapping[str, Page] = {
    "the CA's": of_the_ca(1, 2, total=2),
    "a count of the page": {"count": 2, "total": 2, "data": orders(1, 2)},
    "no next page": {"data": orders(1), "next": None, "links": {"next": "", "self": "/p/1"}},
    "an end of pages": {"data": orders(1), "pageInfo": {"hasNextPage": False, "endCursor": "x"}},
    "the size of pages": {"data": orders(1), "page": {"size": 100, "limit": 100, "offset": 0}},
    "a total of something else": {"data": orders(1), "tickets": {"total": 12, "next": "x"}},
    "a total in another list": {"data": orders(1), "included": [{"type": "user", "total": 12}]},
}


@pytest.mark.parametrize(("page", "remark"), ONE_PAGE.values(), ids=ONE_PAGE)
async def test_a_page_that_is_a_part_is_read_and_said_to_be_one(
    tmp_path: Path, page: Page, remark: str
) -> None:
    desk = Desk(tmp_path)
    for text in (json.dumps(page), json.dumps(page, indent=1), json.dumps([page])):
        if text.startswith("[") and "orders" not in page:
            continue  # an array has pages of the CA alone
        desk.write("orders.json", text)
        checked = await desk.run("check", "--all-domains", "orders.json")
        assert checked.code == 0, checked.out + checked.err
        assert remark in checked.out


@pytest.mark.parametrize("page", WHOLE.values(), ids=WHOLE)
async def test_nothing_is_said_of_a_page_that_is_the_whole(tmp_path: Path, page: Page) -> None:
    desk = Desk(tmp_path)
    desk.write("orders.json", json.dumps(page))
    checked = await desk.run("check", "orders.json")
    assert checked.code == 0, checked.out + checked.err
    assert "its page" not in checked.out


A, B, C = of_the_ca(1, 2, total=5), of_the_ca(3, 4, total=5), of_the_ca(5, total=5)
FIRST: Page = {"data": orders(1), "next": "/p/2"}
SECOND: Page = {"data": orders(2), "next": "/p/3"}
LAST: Page = {"data": orders(3), "next": None}
FILES: Mapping[str, tuple[Sequence[Sequence[Page]], str]] = {
    "all in one file": ([[A, B, C]], ""),
    "each in a file": ([[A], [B], [C]], ""),
    "one is missing in one file": ([[A, C]], "5 in all, of which 3 are here"),
    "one is missing of several files": ([[A], [C]], "5 in all, of which 3 are here"),
    "all links in one file": ([[FIRST, SECOND, LAST]], ""),
    "each link in a file": ([[FIRST], [SECOND], [LAST]], ""),
    "the last link is missing": ([[FIRST, SECOND]], NEXT),
    "the last link is missing of several files": ([[FIRST], [SECOND]], NEXT),
}


@pytest.mark.parametrize(("files", "remark"), FILES.values(), ids=FILES)
async def test_all_pages_of_a_command_count_together(
    tmp_path: Path, files: Sequence[Sequence[Page]], remark: str
) -> None:
    desk = Desk(tmp_path)
    names = [f"{number}.json" for number in range(len(files))]
    for name, pages in zip(names, files, strict=True):
        desk.write(name, "".join(f"{json.dumps(one)}\n" for one in pages))
    checked = await desk.run("check", *names)
    assert checked.code == 0, checked.out + checked.err
    assert remark in checked.out
    assert ("its page" in checked.out) is bool(remark)


async def test_the_orders_of_a_part_are_sent(tmp_path: Path) -> None:
    async with desk_with_ca(tmp_path) as (desk, ca):
        desk.write("orders.json", json.dumps(of_the_ca(1, 2)))
        sent = await desk.run("send", "--yes", "orders.json")
        assert sent.code == 0, sent.err
        assert OF_TWELVE.format(2) in sent.out + sent.err
        assert ca.books.mails == 2
