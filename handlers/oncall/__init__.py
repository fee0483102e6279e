"""Who is on call now: PagerDuty's schedules, and calendars for teams without one."""
