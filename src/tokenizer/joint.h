/* joint.h - when the tokens of two texts are the tokens of both as one.
 *
 * Let A and B be texts, and run merging on A, on B, and on A B. As long as no pair across the joint
 * is merged, the third run does to A what the first does and to B what the second does, the merges
 * of both in the order of their ranks. Say a token is orderly when it is a byte, or one merge makes
 * it, from orderly parts that earlier merges make. An orderly token comes to be at the moment when
 * the run has reached the rank of its merge, whatever happens elsewhere. So if the last token of A
 * and the first one of B are orderly, the two that touch at the joint are known for every moment of
 * the run: the parts at the right edge of the one, and at the left edge of the other. If at no
 * moment these two are the pair to be merged, nothing is merged across the joint, and the tokens of
 * A B are those of A and those of B.
 *
 * So a list of orderly tokens, each of which is what its own bytes are merged to, is what the bytes
 * of all are merged to, if any two neighbours stay apart. */
#ifndef TOKENIZER_JOINT_H
#define TOKENIZER_JOINT_H

#include "tokenizer/vocabulary.h"

/* In made_by: the token is one from the start; or it is not orderly. */
enum { MADE_BY_NONE = -1, MADE_UNSURELY = -2 };

/* Fills v->made_by, and marks the tokens that their own bytes are merged to (FLAG_WHOLE). */
void find_joints(vocabulary *v);

/* Whether two tokens stay apart when their bytes stand side by side. False also where it is not
 * known. */
bool stay_apart(const vocabulary *v, uint32_t left, uint32_t right);

#endif
