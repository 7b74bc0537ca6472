"""Writes down the warnings of a day, so that it can be seen later how many came true.

Who is warned of is `fct_warnings`; how the warnings fared is `rpt_warnings`.
"""

from __future__ import annotations

import logging
from datetime import date

from winback.warehouse import connection as warehouse

log = logging.getLogger(__name__)

# of the same date as the states, or of none: tomorrow's marts replace today's
_DAY = """
insert into ops.warning_day (as_of, n_watched, n_warned)
select states.as_of, count(*), count(warnings.customer_key)
from marts.fct_customer_states as states
left join marts.fct_warnings as warnings
    on warnings.customer_key = states.customer_key and warnings.as_of = states.as_of
where states.as_of = %(as_of)s and not states.is_lapsed
group by states.as_of
on conflict (as_of) do nothing
"""
_WARNINGS = """
insert into ops.warning
    (as_of, customer_key, n_signs, severity, signs, is_about_contact_person)
select as_of, customer_key, n_signs, severity, signs, is_about_contact_person
from marts.fct_warnings
where as_of = %(as_of)s
"""


def record_warnings(as_of: date) -> int:
    """Keeps the warnings of a date; what was recorded first stays, whatever is built later.

    Args:
        as_of: The date of the marts; with marts of another date nothing is recorded.

    Returns:
        How many warnings were recorded now.
    """
    with warehouse.connect("sender") as connection:
        if connection.execute(_DAY, {"as_of": as_of}).rowcount == 0:
            log.info("warnings of %s: recorded before, or the marts are of another date", as_of)
            return 0
        n_recorded = connection.execute(_WARNINGS, {"as_of": as_of}).rowcount
    log.info("warnings of %s: %s recorded", as_of, n_recorded)
    return n_recorded
