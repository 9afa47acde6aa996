"""The tools that teach routines. Their code, do_teach.py, is in the heap without this."""

SPECS = (
    (
        "routine_define",
        "Check and try out a routine, a program of tool calls; it is stored when a person approves."
        ' program: {"name","do":[steps],"finally"?:[steps],"params"?:{n:{"type":"int|num|bool|'
        'text|point","default","min","max"}},"phrases"?:[texts]}. steps: {"call":[tool,{args}],'
        '"as"?:n}, {"wait":s}, {"if":cond,"then":[],"else"?:[]}, {"repeat":n,"do":[]},'
        ' {"while":cond,"max":n,"do":[]}, {"set":[n,value]}, {"notify":"text {n}"},'
        ' {"ask":"text {n}","as":n,"offline":[]}: a model\'s words, or offline. values: 5,'
        ' "$n", "$n.level", {"read":point}, [a,"+",b], [a,">",b], {"and":[]}, {"not":c}',
        "program:obj",
        True,
        "",
    ),
    (
        "routine_approve",
        "Store the routine just defined; only when the person said yes to it.",
        "token:str24",
        True,
        "I have learned '{routine}'",
    ),
    (
        "routine_check",
        "Check a program, or a stored routine by its name, without keeping it.",
        "program?:obj name?:str24",
        False,
        "",
    ),
)
