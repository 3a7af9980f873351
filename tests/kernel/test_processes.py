"""How many processes each verb starts: most of the time that a verb takes is theirs."""

VERBS = {
    "create web": 8,
    "create other": 7,
    "list": 2,
    "list -q": 0,
    "connect web c1 -p 8080:80": 11,
    "connect web c2": 9,
    "connect other c1": 11,
    "publish web c2 8081:81": 6,
    "create dual --subnet 10.5.0.0/24 --subnet fd00:5::/64": 9,
    "connect dual c3": 10,
    "connect dual c4 -p 8082:80": 12,
    "check": 14,
    "disconnect other c1": 9,
    "disconnect web c1": 7,
    "remove --force web": 8,
}


def test_no_verb_starts_more_processes_than_it_needs(host):
    host.sh("for c in c1 c2 c3 c4; do ip netns add $c; done")
    counted = {words: host.processes(words) for words in VERBS}
    assert {words: n for words, n in counted.items() if n > VERBS[words]} == {}, counted
