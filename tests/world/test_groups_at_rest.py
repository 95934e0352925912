"""What a server has on its disk of a group that was made, written to, and changed."""

import apsw

from grue.client.conversations import tables
from grue.testing import World
from tests.world.memory import ALICE, BOB, CAROL
from tests.world.test_groups import hike, settle


async def test_a_server_at_rest_has_of_a_group_one_more_mailbox_and_no_name(world: World) -> None:
    (alice, bob, carol), group = await hike(world, ALICE, BOB, CAROL)
    await alice.groups.rename(group.id, "Saturday hike to the lighthouse")
    await alice.groups.describe(group.id, "Boots and rain")
    await bob.send(group.id, "Nine at the station")
    await settle(alice, bob, carol)
    (conversation,) = [c for c, _ in await alice.context.store.read(tables.reading_conversations) if c.group]
    assert conversation.group is not None
    identities = [member.identity for member in conversation.group.members]
    await world.stop()
    database = apsw.Connection(str(world.data / "server.db"))
    counted = database.execute("SELECT count(*) FROM reader WHERE mailbox = ?", (conversation.log.mailbox,))
    ((readers,),) = counted.fetchall()

    of_mailboxes = b"".join(
        value if isinstance(value, bytes) else str(value).encode()
        for table in ("mailbox", "reader", "envelope")
        for row in database.execute(f"SELECT * FROM {table}")  # noqa: S608 -- a name of ours
        for value in row
    )
    database.close()
    kept = b"".join(file.read_bytes() for file in world.data.rglob("*") if file.is_file())
    words = [b"lighthouse", b"Boots and rain", b"Nine at the station", conversation.id]
    numbers = [number.removeprefix("+").encode() for number in (ALICE, BOB, CAROL)]
    assert readers == 3
    assert conversation.log.mailbox in kept
    assert [secret for secret in words + numbers if secret in kept] == []
    assert [identity for identity in identities if identity in of_mailboxes] == []
    await world.start()
