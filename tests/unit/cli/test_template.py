"""Templates, as text: what docker's --format accepts, and what is said of the rest."""

import pytest

from mydockernet.cli import template
from mydockernet.errors import Invalid

RECORD = {
    "Name": "web",
    "Count": 2,
    "On": True,
    "Off": False,
    "Nothing": None,
    "Labels": {"b": "2", "a": "ü"},
    "Empty": {},
    "Subnets": [{"Subnet": "10.1.0.0/24"}, {"Subnet": "10.2.0.0/24"}],
    "Containers": {
        "c2": {"Name": "c2", "Addresses": ["10.1.0.3"], "Ports": []},
        "c-1": {"Name": "c-1", "Addresses": ["10.1.0.2", "10.2.0.2"], "Ports": ["80:80/tcp"]},
    },
    "Odd": "a\n\x1b[31m",
}


def shown(text, *records):
    return template.read(text)(records or (RECORD,), None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"{{.Name}}\t{{ .Count }}\n{{.On}} {{json .Labels}}", 'web\t2\ntrue {"b": "2", "a": "ü"}'),
        ("{{.Subnets}}{{.Nothing}}", '[{"Subnet": "10.1.0.0/24"}, {"Subnet": "10.2.0.0/24"}]null'),
        ("{{$.Name}}", "web"),
        # Fields of fields
        ("{{.Containers.c2.Addresses}}", '["10.1.0.3"]'),
        ("{{.Containers.c-1.Addresses}}", '["10.1.0.2", "10.2.0.2"]'),
        # index, len
        ('{{index .Labels "a"}}', "ü"),
        ("{{index .Labels `b`}}", "2"),
        ('{{index .Labels "none"}}', ""),
        ("{{index .Subnets 1}}", '{"Subnet": "10.2.0.0/24"}'),
        ('{{index .Containers "c2" "Addresses" 0}}', "10.1.0.3"),
        ('{{(index .Containers "c2").Name}} {{(index .Subnets 0).Subnet}}', "c2 10.1.0.0/24"),
        ("{{len .Containers}} {{len .Name}} {{len .Subnets}} {{len .Empty}}", "2 3 2 0"),
        # range: a map in the order of its keys
        ("{{range .Containers}}{{.Name}} {{end}}", "c-1 c2 "),
        ("{{range $name, $c := .Containers}}{{$name}}={{len $c.Ports}} {{end}}", "c-1=1 c2=0 "),
        ("{{range $i, $s := .Subnets}}{{$i}}:{{$s.Subnet}} {{end}}", "0:10.1.0.0/24 1:10.2.0.0/24 "),
        ("{{range $s := .Subnets}}{{$s.Subnet}} {{$.Name}} {{end}}", "10.1.0.0/24 web 10.2.0.0/24 web "),
        ("{{range .Containers}}{{range .Addresses}}{{.}},{{end}}{{end}}", "10.1.0.2,10.2.0.2,10.1.0.3,"),
        ("{{range .Empty}}x{{else}}none{{end}}{{range .Nothing}}x{{end}}", "none"),
        # if, else, with
        ("{{if .On}}on{{end}}{{if .Off}}off{{end}}", "on"),
        ("{{if .Empty}}some{{else}}none{{end}}", "none"),
        ("{{if .Off}}a{{else if .Nothing}}b{{else if .On}}c{{else}}d{{end}}", "c"),
        ("{{if .Off}}a{{else if .Nothing}}b{{else}}d{{end}}!", "d!"),
        ("{{with .Labels}}{{.a}}{{$.Name}}{{end}}{{with .Nothing}}x{{else}}{{.Name}}{{end}}", "üwebweb"),
        # functions, pipes, parentheses
        ('{{join .Containers.c-1.Addresses ", "}}', "10.1.0.2, 10.2.0.2"),
        ("{{.Name | upper | lower | json}}", '"web"'),
        ("{{json .Labels | len}}", "20"),
        ('{{if eq .Name "x" "web"}}same{{end}}{{if ne .Count 2}}other{{end}}', "same"),
        ("{{if and (gt .Count 1) (lt .Count 3) (ge 2 .Count) (le 2 .Count) (not .Off)}}two{{end}}", "two"),
        ("{{if and .Nothing .Nothing.Up}}x{{end}}{{or .Off .Nothing .Name .Nothing.Up}}", "web"),
        ("{{eq .On true}}{{eq .Nothing nil}}{{eq .Off false}}", "truetruetrue"),
        ("{{range .Containers}}{{println .Name 1}}{{end}}", "c-1 1\nc2 1\n"),
        (r'{{join .Containers.c-1.Addresses "\n"}}{{"\t\"\\"}}', '10.1.0.2\n10.2.0.2\t"\\'),
        # trimming
        ("a  {{- .Name -}}  \n b", "awebb"),
        ("{{range .Subnets -}}  {{.Subnet}} {{end}}", "10.1.0.0/24 10.2.0.0/24 "),
    ],
)
def test_what_docker_accepts_is_printed(text, expected):
    assert shown(text) == f"{expected}\n"


def test_all_of_a_record_is_json():
    assert shown("{{json .}}").startswith('{"Name": "web", "Count": 2')


def test_each_record_is_printed():
    assert shown("{{.Name}}", {"Name": "a"}, {"Name": "b"}) == "a\nb\n"
    assert shown("table {{.Name}}") == "NAME\nweb\n"


@pytest.mark.parametrize("text", ["{{.Odd}}", "{{json .Odd}}", "{{println .Odd}}", "{{with .Odd}}{{.}}{{end}}"])
def test_what_is_not_printable_is_escaped(text):
    out = shown(text)
    assert "\x1b" not in out
    assert out.replace("\n", "").isprintable()
    assert r"a\n\x1b[31m" in out or r"a\n\u001b[31m" in out


def test_a_table_has_headers_and_columns():
    web = {"Name": "web", "Subnet": "10.1.0.0/24", "Labels": {"a": "1"}}
    records = [web, {"Name": "a", "Subnet": "", "Labels": {}}]
    assert shown(r"table {{.Name}}\t{{.Subnet}}\t{{json .Labels}}", *records) == (
        'NAME  SUBNET       LABELS\nweb   10.1.0.0/24  {"a": "1"}\na                  {}\n'
    )
    assert shown(r"table {{upper .Name}}: {{index .Labels `a`}}\t{{if .Subnet}}{{.Subnet}}{{end}}", *records) == (
        "NAME: LABELS  SUBNET\nWEB: 1        10.1.0.0/24\nA:\n"
    )


def test_a_table_without_records_has_headers():
    assert template.read(r"table {{.Name}}\t{{.State}}")([], None) == "NAME  STATE\n"


def test_a_table_in_a_terminal_has_borders():
    assert "╭" in template.read("table {{.Name}}")([{"Name": "web"}], 80)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is neither table nor json, nor a template such as {{.Name}}"),
        ("web", "'web' is neither table nor json, nor a template such as {{.Name}}"),
        ("table web", "'table web' is neither table nor json, nor a template such as {{.Name}}"),
        ("{{.Name}", "'{{.Name}' is not closed by }}"),
        ("{{.Name}} {{", "'{{' is not closed by }}"),
        ("{{}}", "{{}} lacks a value"),
        ("{{ .Name ? }}", "can't read '?' in {{.Name ?}}"),
        ("{{.Name .Count}}", "can't read '.Count' in {{.Name .Count}}"),
        ("{{upper (.Name}}", "a ) is missing in {{upper (.Name}}"),
        ("{{.Name)}}", "can't read ')' in {{.Name)}}"),
        ("{{upper := .Name}}", "can't read ':=' in {{upper := .Name}}"),
        ("{{.Name | .Count}}", ".Count is no function, in {{.Name | .Count}}"),
        ("{{.Name |}}", "{{.Name |}} lacks a value"),
        ("{{upper}}", "upper takes 1 argument(s), in {{upper}}"),
        ("{{index}}", "index takes at least 1 argument(s), in {{index}}"),
        ("{{range .Containers}}", "{{range .Containers}} has no {{end}}"),
        ("{{if .On}}{{else}}", "{{if .On}} has no {{end}}"),
        ("{{if .On}}{{else}}{{else}}{{end}}", "{{if .On}} has a second {{else}}"),
        ("{{if .On}}{{end .Off}}", "can't read '.Off' in {{end .Off}}"),
        ("{{end}}", "{{end}} has no {{if}}, {{range}} or {{with}} before it"),
        ("{{range $a, $b, $c := .Labels}}{{end}}", "can't read the variables of {{range $a, $b, $c := .Labels}}"),
    ],
)
def test_what_is_no_template_is_refused_at_once(text, message):
    with pytest.raises(Invalid) as refused:
        template.read(text)
    assert str(refused.value) == f"--format: {message}"


def test_a_function_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(Invalid) as refused:
        template.read("{{Name}}")
    assert str(refused.value).startswith(
        "--format: there is no function 'Name'; a field is written .Name, and the functions are and, eq, "
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.Labels.c}}", "there is no field 'c'; there are: b, a"),
        ("{{.Empty.c}}", "there is no field 'c'; there are: none"),
        ("{{.Name.Up}}", "text has no field 'Up'"),
        ("{{.Nothing.Up}}", "null has no field 'Up'"),
        ("{{$x}}", "there is no variable $x"),
        ("{{range .Count}}{{end}}", "range does not take a number"),
        ("{{len .Count}}", "len does not take a number"),
        ("{{len .On}}", "len does not take true or false"),
        ("{{index .Name 0}}", "index does not take text and a number"),
        ("{{index .Subnets `a`}}", "index does not take a list and text"),
        ("{{index .Subnets 2}}", "index 2 is out of range: the list has 2 item(s)"),
        ("{{join .Labels `,`}}", "join does not take a map and text"),
        ("{{gt .Name 1}}", "gt does not take text and a number"),
        ("{{upper .Nothing}}", "upper does not take null"),
    ],
)
def test_what_a_record_does_not_have_is_named(text, message):
    with pytest.raises(Invalid) as refused:
        shown(text)
    assert str(refused.value) == f"--format: {message}"


def test_a_field_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(Invalid, match=r"there is no field 'Nmae'; there are: Name$"):
        shown("{{.Nmae}}", {"Name": "web"})
