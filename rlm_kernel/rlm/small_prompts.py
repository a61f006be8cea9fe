"""The system messages for small LMs: one for questions that a query or a passage answers, one where
pieces of the text must be judged. Short, and changed only with figures.

A small model writes SQL better than Python, and reads a passage better than it searches for it. So
a first cell, which is ours, looks (``OPENING``), and the model writes a query or the answer.
"""

OPENING = "```python\nprint(look(context, {question!r}))\n```"

ASK_QUERY = "Write the query."
ASK_ANSWER = "Write the answer."
READ = (
    'If this output has the answer, reply with one line that begins with "Answer:" and gives it '
    "alone. Else write another query."
)

NOWHERE = (
    "The answer {answer!r} does not stand in `context`. Copy it from a passage as it is written "
    "there, or write a query. The same answer again is taken as it is."
)
DOUBTED_QUERY = (
    "{why} If that is a mistake, write the query again. The same query again is taken as it is."
)
SUSPECT_QUERY = (
    "The answer {answer!r} {why}. If a word in the query is written otherwise in the data, write "
    "the query again with that. The same query again is taken as it is."
)

SMALL_READ = """\
You answer a question about data in the variable `context` of a Jupyter notebook. A first cell has \
looked at it: its output has the tables and their columns, or the passages of a text with words of \
the question. Reply with one of these two and nothing else:
- one line that begins with "Answer:" and gives the answer alone, in as few words as it takes, \
where a passage states it
- one SQLite query in a ```sql block, where there is a table to look it up in. Select only what is \
asked for. Compare texts with LIKE '%...%' unless the values of the column are listed.

Question: What is the baker's son called?
Answer: Anton
Question: Where does Mr Hill work?
```sql
SELECT employer FROM t WHERE name LIKE '%Hill%'
```
Question: In which town does the teacher of the teacher of Mr Hill live?
```sql
SELECT town FROM t WHERE code = (SELECT teacher FROM t WHERE code = (
SELECT teacher FROM t WHERE name LIKE '%Hill%'))
```
{tools}"""

SMALL_COUNT = """\
You answer a question about data in the variable `context` of a Jupyter notebook. A first cell has \
looked at it: its output has the tables and their columns. Reply with one SQLite query in a ```sql \
block and nothing else. Select only what is asked for. Compare texts with LIKE '%...%' unless the \
values of the column are listed. Dates are texts such as '2024-03-05'.

Question: Which harbour has the most boats?
```sql
SELECT harbour FROM t GROUP BY harbour ORDER BY COUNT(*) DESC LIMIT 1
```
Question: What did the flour for the mill cost?
```sql
SELECT SUM(amount * price) FROM t WHERE goods = 'flour' AND buyer LIKE '%mill%'
```
Question: How many lines mention the bakery?
```sql
SELECT COUNT(*) FROM t WHERE text LIKE '%bakery%'
```
Question: Which three words are used most?
```sql
SELECT word FROM words ORDER BY count DESC LIMIT 3
```
Question: How often does the word bread occur?
```sql
SELECT count FROM words WHERE word = 'bread'
```
Where no query can do it, a short ```python block may work on `context` and call FINAL_VAR(result).
{tools}"""

SMALL_JUDGE = """\
You answer a question about data in the variable `context` of a Jupyter notebook. A first cell has \
looked at it: its output has the tables and their columns. Reply with one SQLite query in a ```sql \
block and nothing else.
A query cannot tell what a text means. For that it calls judge(column, label, label, ...): a \
reader looks at the text of each row and chooses the label that fits. Give two labels or more, so \
that one always fits. Put before it all that words can tell: LIKE '%...%' for names. Dates are \
texts such as '2024-03-05'.

Question: In how many letters from Kemi does the writer complain?
```sql
SELECT COUNT(*) FROM t WHERE text LIKE '%Kemi%'
AND judge(text, 'a complaint', 'praise') = 'a complaint'
```
Question: Which guests talk about the weather?
```sql
SELECT guest FROM t
WHERE judge(remark, 'about the weather', 'about something else') = 'about the weather'
```
{tools}"""
