#!/usr/bin/env python3
"""tests/stack/prove_seq.py CLANG Z3 SRC: src/stack/seq.h is right for all 2^64 pairs of sequence numbers: proved, not tried.

clang says what each helper computes (LLVM's intermediate language, a line for each subtraction and comparison), this turns it into SMT-LIB,
and z3 looks for numbers for which it is not what the streams' own positions say: 64 bits, which do not go round in anybody's life. What clang
takes to be undefined in C carries a mark there (nsw, nuw, poison, undef), and none may.

A proof that cannot fail is worth nothing: each of MUTANTS, a mistake somebody could make, must be refuted.
Exit code: 0; 1, something does not hold; 77, no clang or z3, or a clang with words that this does not know.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

HELPERS = '''#include "stack/seq.h"
int32_t p_diff(uint32_t a, uint32_t b);
bool p_lt(uint32_t a, uint32_t b), p_le(uint32_t a, uint32_t b), p_in(uint32_t s, uint32_t a, uint32_t b);
uint32_t p_max(uint32_t a, uint32_t b), p_min(uint32_t a, uint32_t b);
int32_t p_diff(uint32_t a, uint32_t b) { return seq_diff(a, b); }
bool p_lt(uint32_t a, uint32_t b) { return seq_lt(a, b); }
bool p_le(uint32_t a, uint32_t b) { return seq_le(a, b); }
bool p_in(uint32_t s, uint32_t a, uint32_t b) { return seq_in(s, a, b); }
uint32_t p_max(uint32_t a, uint32_t b) { return seq_max(a, b); }
uint32_t p_min(uint32_t a, uint32_t b) { return seq_min(a, b); }
'''
# Positions X, Y, S, LO, HI are of 64 bits and below 2^62, so that their differences are exact; low() is what a segment carries of one.
POSITIONS = '''(declare-const X (_ BitVec 64)) (declare-const Y (_ BitVec 64)) (declare-const S (_ BitVec 64))
(declare-const LO (_ BitVec 64)) (declare-const HI (_ BitVec 64)) (declare-const a (_ BitVec 32)) (declare-const b (_ BitVec 32))
(define-fun low ((x (_ BitVec 64))) (_ BitVec 32) ((_ extract 31 0) x))
(define-fun small ((x (_ BitVec 64))) Bool (bvult x #x4000000000000000))
(define-fun two31 () (_ BitVec 64) #x0000000080000000)
(define-fun two32 () (_ BitVec 64) #x0000000100000000)
(assert (and (small X) (small Y) (small S) (small LO) (small HI)))
'''
NEAR = "(and (bvslt (bvsub X Y) two31) (bvsgt (bvsub X Y) (bvneg two31)))"
# What is asked of S in [LO, HI): less than 2^32 long, and S nowhere where it would come round into it again.
ROUND = "(and (bvsle LO HI) (bvslt (bvsub HI LO) two32) (bvsge S (bvsub HI two32)) (bvslt S (bvadd LO two32)))"
CLAIMS = [  # what it says, under which condition, what holds
    ("seq_diff is the distance", NEAR, "(= (p_diff (low X) (low Y)) (low (bvsub X Y)))"),
    ("seq_diff has the distance's sign", NEAR, "(= ((_ sign_extend 32) (p_diff (low X) (low Y))) (bvsub X Y))"),
    ("seq_lt is before", NEAR, "(= (p_lt (low X) (low Y)) (bvslt X Y))"),
    ("seq_le is before or at", NEAR, "(= (p_le (low X) (low Y)) (bvsle X Y))"),
    ("seq_max is the later", NEAR, "(= (p_max (low X) (low Y)) (low (ite (bvslt X Y) Y X)))"),
    ("seq_min is the earlier", NEAR, "(= (p_min (low X) (low Y)) (low (ite (bvslt X Y) X Y)))"),
    ("seq_in is from LO on and before HI", ROUND, "(= (p_in (low S) (low LO) (low HI)) (and (bvsle LO S) (bvslt S HI)))"),
    ("of two different ones, one is before the other, unless they are 2^31 apart", "(not (= (bvsub a b) #x80000000))",
     "(= (xor (p_lt a b) (p_lt b a)) (not (= a b)))"),
    ("what is 2^31 apart is before each other", "(= (bvsub a b) #x80000000)", "(and (p_lt a b) (p_lt b a))"),
    ("seq_le is seq_lt or equal", "true", "(= (p_le a b) (or (p_lt a b) (= a b)))"),
    ("nothing is in an empty range", "true", "(not (p_in (low S) a a))"),
]
MUTANTS = [  # in seq.h, instead
    ("return seq_diff(a, b) < 0;", "return a < b;"),
    ("return seq_diff(a, b) <= 0;", "return a <= b;"),
    ("return seq_diff(a, b) <= 0;", "return seq_diff(a, b) < 0;"),
    ("return s - lo < hi - lo;", "return s - lo <= hi - lo;"),
    ("return s - lo < hi - lo;", "return seq_le(lo, s) && seq_lt(s, hi);"),
    ("return (int32_t)(a - b);", "return (int32_t)a - (int32_t)b;"),
    ("return (int32_t)(a - b);", "return (int32_t)(b - a);"),
    ("return seq_lt(a, b) ? b : a;", "return seq_lt(a, b) ? a : b;"),
    ("return seq_lt(a, b) ? a : b;", "return a < b ? a : b;"),
]
COMPARE = {"eq": "=", "ult": "bvult", "ule": "bvule", "ugt": "bvugt", "uge": "bvuge", "slt": "bvslt", "sle": "bvsle", "sgt": "bvsgt", "sge": "bvsge"}
ARITHMETIC = {"sub": "bvsub", "add": "bvadd", "xor": "bvxor", "and": "bvand", "or": "bvor"}
UNDEFINED = re.compile(r"\b(nsw|nuw|exact|poison|undef|unreachable)\b")


class Unknown(Exception):
    pass


class Undefined(Exception):
    pass


def sort(bits):
    return "Bool" if bits == 1 else f"(_ BitVec {bits})"


def value(text, bits):
    if text.startswith("%"):
        return "v" + text[1:]
    if text in ("true", "false"):
        return text
    return f"(_ bv{int(text) % 2 ** bits} {bits})"


def instruction(text):
    """One right side as SMT-LIB."""
    if UNDEFINED.search(text):
        raise Undefined(text)
    m = re.fullmatch(r"(\w+) i(\d+) (\S+), (\S+)", text)
    if m and m[1] in ARITHMETIC:
        n = int(m[2])
        word = ARITHMETIC[m[1]].removeprefix("bv") if n == 1 else ARITHMETIC[m[1]]
        return f"({word} {value(m[3], n)} {value(m[4], n)})"
    m = re.fullmatch(r"icmp (\w+) i(\d+) (\S+), (\S+)", text)
    if m and m[1] in COMPARE:
        n = int(m[2])
        return f"({COMPARE[m[1]]} {value(m[3], n)} {value(m[4], n)})"
    m = re.fullmatch(r"icmp ne i(\d+) (\S+), (\S+)", text)
    if m:
        return f"(not (= {value(m[2], int(m[1]))} {value(m[3], int(m[1]))}))"
    m = re.fullmatch(r"select i1 (\S+), i(\d+) (\S+), i\d+ (\S+)", text)
    if m:
        n = int(m[2])
        return f"(ite {value(m[1], 1)} {value(m[3], n)} {value(m[4], n)})"
    m = re.fullmatch(r"(zext|sext) i(\d+) (\S+) to i(\d+)", text)
    if m:
        n, to = int(m[2]), int(m[4])
        if n == 1:
            return f"(ite {value(m[3], 1)} {value('1' if m[1] == 'zext' else '-1', to)} {value('0', to)})"
        return f"((_ {'zero' if m[1] == 'zext' else 'sign'}_extend {to - n}) {value(m[3], n)})"
    m = re.fullmatch(r"trunc i(\d+) (\S+) to i(\d+)", text)
    if m and m[3] != "1":
        return f"((_ extract {int(m[3]) - 1} 0) {value(m[2], int(m[1]))})"
    raise Unknown(text)


def functions(ir):
    """SMT-LIB definitions of the helpers."""
    out = []
    for f in re.finditer(r"^define [^@]*?i(\d+) @(p_\w+)\(([^)]*)\)[^{]*\{\n(.*?)^\}", ir, re.M | re.S):
        lets = []
        args = []
        for a in f[3].split(","):
            m = re.fullmatch(r"i(\d+) .*?(%\S+)", a.strip())
            if not m:
                raise Unknown(a)
            args.append(f"({value(m[2], 32)} {sort(int(m[1]))})")
        body = None
        for line in f[4].splitlines():
            line = line.split(";")[0].strip()
            ret = re.fullmatch(r"ret i(\d+) (\S+)", line)
            made = re.fullmatch(r"(%\S+) = (.*)", line)
            if ret:
                body = value(ret[2], int(ret[1]))
            elif made:
                lets.append((value(made[1], 0), instruction(made[2])))
            elif line:
                raise Unknown(line)
        if body is None:
            raise Unknown(f[2])
        for name, text in reversed(lets):
            body = f"(let (({name} {text})) {body})"
        out.append(f"(define-fun {f[2]} ({' '.join(args)}) {sort(int(f[1]))} {body})")
    if len(out) != 6:
        raise Unknown(f"{len(out)} functions")
    return "\n".join(out) + "\n"


def definitions(clang, src, mutant=None):
    with tempfile.TemporaryDirectory() as top:
        os.mkdir(os.path.join(top, "stack"))
        with open(os.path.join(src, "stack", "seq.h"), encoding="utf-8") as f:
            text = f.read()
        if mutant:
            if text.count(mutant[0]) != 1:
                sys.exit(f"a mutant's line is not in seq.h: {mutant[0]}")
            text = text.replace(*mutant)
        with open(os.path.join(top, "stack", "seq.h"), "w", encoding="utf-8") as f:
            f.write(text)
        ir = subprocess.run([clang, "-O1", "-S", "-emit-llvm", "-D_GNU_SOURCE", "-I", top, "-I", src, "-x", "c", "-", "-o", "-"], input=HELPERS,
                            capture_output=True, text=True, timeout=60, check=True).stdout
    return functions(ir)


def refuted(z3, text):
    """The claims that do not hold, each with numbers that show it."""
    bad = []
    for what, when, then in CLAIMS:
        query = POSITIONS + text + f"(assert {when})\n(assert (not {then}))\n(check-sat)\n(get-model)\n"
        out = subprocess.run([z3, "-in", "-T:120"], input=query, capture_output=True, text=True, timeout=150).stdout
        answer = out.split("\n", 1)[0]
        if answer == "sat":
            bad.append(what + "\n" + out)
        elif answer != "unsat":
            sys.exit(f"z3 about \"{what}\": {out}")
    return bad


def main():
    clang, z3, src = sys.argv[1:]
    for tool in (clang, z3):
        if not shutil.which(tool):
            print(f"no {tool}")
            return 77
    try:
        bad = refuted(z3, definitions(clang, src))
        for b in bad:
            print(f"does not hold: {b}")
        for m in MUTANTS if not bad else ():
            try:
                caught = refuted(z3, definitions(clang, src, m))
            except Undefined:
                caught = [m]
            if not caught:
                bad.append(m)
                print(f"not noticed: {m[1]} instead of {m[0]}")
    except Undefined as e:
        print(f"undefined behaviour: {e}")
        return 1
    except Unknown as e:
        print(f"this clang says \"{e}\", which this test does not know")
        return 77
    if not bad:
        print(f"{len(CLAIMS)} claims hold for all numbers; {len(MUTANTS)} mutants are refuted")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
