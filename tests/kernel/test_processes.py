"""How many processes each verb starts: most of the time that a verb takes is theirs."""

VERBS = {
    "create web": 7,
    "create other": 6,
    "list": 2,
    "list -q": 0,
    "connect web c1 -p 8080:80": 9,
    "connect web c2": 7,
    "connect other c1": 8,
    "publish web c2 8081:81": 7,
    "create dual --subnet 10.5.0.0/24 --subnet fd00:5::/64": 8,
    "connect dual c3": 8,
    "connect dual c4 -p 8082:80": 12,
    "check": 14,
    "disconnect other c1": 6,
    "disconnect web c1": 8,
    "remove --force web": 7,
}


def test_no_verb_starts_more_processes_than_it_needs(host):
    host.sh("for c in c1 c2 c3 c4; do ip netns add $c; done")
    counted = {words: host.processes(words) for words in VERBS}
    assert {words: n for words, n in counted.items() if n > VERBS[words]} == {}, counted
