-- Grain: month or quarter of the onboarding's start x cut. Mean days from the start to first value, of those who reached it.
{{ time_to_value('time_to_first_value', observed='observed_days', achieved='days_to_first_value', with_overdue=true) }}
