-- Grain: distinct text x theme found by the keyword seed, 'unclassified' without any. A text is searched once for a state of the seed.
{{ config(materialized='incremental', unique_key='text_hash', incremental_strategy='delete+insert', on_schema_change='fail') }}
with texts as (
    select distinct text_hash, body from {{ ref('int_feedback_texts') }}
    where body is not null
),

keywords as (
    select distinct theme, trim({{ plain_words('keyword') }}) as keyword from {{ ref('feedback_theme_keywords') }}
),

seed_state as (
    select {{ dbt.hash(joined_text(dbt.concat(['theme', "':'", 'keyword']), ',')) }} as keywords_hash from keywords
),

{% if is_incremental() -%}
searched as (
    select distinct text_hash, keywords_hash from {{ this }}
),

{% endif -%}
waiting as (
    select texts.text_hash, {{ plain_words('texts.body') }} as words, seed_state.keywords_hash
    from texts
    cross join seed_state
    {%- if is_incremental() %}
    left join searched
        on texts.text_hash = searched.text_hash and seed_state.keywords_hash = searched.keywords_hash
    where searched.text_hash is null
    {%- endif %}
),

-- a short keyword has to be the whole word, or its plural: 'load' is not in 'download', 'cara' not in 'característica'
found as (
    select distinct waiting.text_hash, keywords.theme
    from waiting
    inner join keywords
        on
            position({{ dbt.concat(["' '", 'keywords.keyword', "' '"]) }} in waiting.words) > 0
            or position({{ dbt.concat(["' '", 'keywords.keyword', "'s '"]) }} in waiting.words) > 0
            or length(keywords.keyword) >= 5 and position({{ dbt.concat(["' '", 'keywords.keyword']) }} in waiting.words) > 0
),

final as (
    select waiting.text_hash, coalesce(found.theme, 'unclassified') as theme, waiting.keywords_hash
    from waiting
    left join found on waiting.text_hash = found.text_hash
)

select * from final
