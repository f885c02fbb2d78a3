{#- Words and numbers in sentences. -#}

{#- Numbers as a person writes them in a driver's text. -#}
{% macro as_count(value) -%} cast(cast({{ value }} as bigint) as {{ dbt.type_string() }}) {%- endmacro %}
{#- round(x, 1) is this to some engines; others round the decimal digits of x, so that 1.45 is another tenth. -#}
{% macro tenths(value) -%} round(({{ value }}) * 10) / 10 {%- endmacro %}
{% macro as_tenths(value) -%} cast(cast({{ tenths(value) }} as decimal(18, 1)) as {{ dbt.type_string() }}) {%- endmacro %}
{% macro as_text(value) -%} cast({{ value }} as {{ dbt.type_string() }}) {%- endmacro %}

{#- A number in the unit of what it measures, as it stands in a message. -#}
{% macro as_said(value, unit) -%}
    case
        when {{ unit }} = 'ratio' then {{ dbt.concat([as_tenths('100 * ' ~ value), "' %'"]) }}
        when {{ unit }} = 'percentage points' then {{ dbt.concat([as_tenths('100 * ' ~ value), "' percentage points'"]) }}
        when {{ unit }} = 'money' or {{ value }} = floor({{ value }}) then {{ as_count('round(' ~ value ~ ')') }}
        else {{ as_tenths(value) }}
    end
{%- endmacro %}

{#- The same of a limit, which a value is held against: of a rate its hundredths are told as well. -#}
{% macro limit_said(limit, unit) -%}
    {%- set percent = '100 * ' ~ limit -%}
    case
        when {{ unit }} = 'ratio' and round({{ percent }}, 2) <> round({{ percent }}, 1)
            then {{ dbt.concat([as_text('cast(round(' ~ percent ~ ', 2) as decimal(18, 2))'), "' %'"]) }}
        else {{ as_said(limit, unit) }}
    end
{%- endmacro %}

{#- A sentence with its placeholders filled; `fillings` is a list of (placeholder, text expression). -#}
{% macro filled(sentence, fillings) -%}
    {%- set nested = namespace(text=sentence) -%}
    {%- for placeholder, text in fillings -%}
        {%- set nested.text = 'replace(' ~ nested.text ~ ", '" ~ placeholder ~ "', " ~ text ~ ')' -%}
    {%- endfor -%}
    {{ nested.text }}
{%- endmacro %}

{#- Text without outer spaces, tabs and line breaks, NULL when nothing is left (what the loader calls blank); no-break spaces
    are spaces, zero-width marks are gone, and a letter with its accent is one character (NFC), so that what looks equal is
    equal. -#}
{% macro tidied(text) -%} {{ return(adapter.dispatch('tidied')(text)) }} {%- endmacro %}
{% macro default__tidied(text) -%}
    {#- ASCII from its first sign to its last is tidy: that spares most rows the trimming, which costs eight times the hash of
        an id -#}
    nullif(
        case
            when strlen({{ text }}) = length({{ text }}) and {{ text }} >= '!' and right({{ text }}, 1) >= '!'
                then {{ text }}
            else trim(
                nfc_normalize(translate({{ text }}, chr(160) || chr(8239) || chr(8203) || chr(65279), '  ')), e' \t\r\n'
            )
        end,
        ''
    )
{%- endmacro %}
{% macro spark__tidied(text) -%}
    nullif(
        btrim(translate({{ text }}, concat(char(160), decode(unhex('E280AFE2808BEFBBBF'), 'UTF-8')), '  '), ' \t\r\n'), ''
    )
{%- endmacro %}

{#- Free text without e-mail addresses. -#}
{% macro masked(text) -%} {{ return(adapter.dispatch('masked')(text)) }} {%- endmacro %}
{% macro default__masked(text) -%}
    regexp_replace({{ text }}, '[\w.+-]+@[\w-]+([.][\w-]+)+', '[e-mail]', 'g')
{%- endmacro %}
{% macro spark__masked(text) -%}
    regexp_replace({{ text }}, '[\\w.+-]+@[\\w-]+([.][\\w-]+)+', '[e-mail]')
{%- endmacro %}
