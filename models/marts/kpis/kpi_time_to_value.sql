-- Grain: month or quarter of the onboarding's start x cut. Mean days from the purchase to first value, of those who reached it.
{{ time_to_value('time_to_value', observed='observed_days_from_purchase', achieved='days_from_purchase', with_overdue=false) }}
