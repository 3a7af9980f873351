"""Values: fixed, equal by what they hold, and strict about what they are given."""

import pytest

from mydockernet.value import Value, field, replace


class Base(Value):
    place: str = field(default="", kw_only=True)


class Point(Base):
    x: int
    y: int = 0

    def __post_init__(self):
        if self.x < 0:
            raise ValueError(self.x)


class Other(Base):
    x: int
    y: int = 0


def test_fields_are_given_by_position_or_name():
    assert (Point(1, 2).x, Point(1, y=2).y, Point(x=1).y, Point(1, place="here").place) == (1, 2, 0, "here")


@pytest.mark.parametrize(("values", "by_name"), [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})])
def test_wrong_fields_are_refused(values, by_name):
    with pytest.raises(TypeError):
        Point(*values, **by_name)


def test_a_value_is_checked_as_it_is_made():
    with pytest.raises(ValueError):
        Point(-1)
    with pytest.raises(ValueError):
        replace(Point(1), x=-1)


def test_a_value_can_not_be_changed():
    point = Point(1)
    with pytest.raises(AttributeError):
        point.x = 2
    with pytest.raises(AttributeError):
        del point.x
    assert point.x == 1


def test_values_of_one_class_are_equal_by_what_they_hold():
    assert Point(1) == Point(x=1)
    assert Point(1) != Point(1, place="here")
    assert Point(1) != Other(1)
    assert {Point(1), Point(1), Other(1)} == {Point(1), Other(1)}


def test_a_value_shows_what_it_holds():
    assert repr(Point(1, place="here")) == "Point(place='here', x=1, y=0)"


def test_replace_changes_the_named_fields_alone():
    assert replace(Point(1, 2, place="here"), y=3) == Point(1, 3, place="here")
    with pytest.raises(TypeError):
        replace(Point(1), z=1)
