"""The pair of services: found again, stopped for good, and never mistaken for somebody else's."""


def test_both_answer(kafka, clickhouse, settings, eventually):
    s = settings()
    with clickhouse.client(s.clickhouse_database) as client:
        assert client.command("SELECT currentDatabase()") == s.clickhouse_database
    name = kafka.topic(3)
    assert len(kafka.admin.list_topics(name, timeout=10).topics[name].partitions) == 3
