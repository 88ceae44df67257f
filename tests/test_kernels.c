/* test_kernels.c - every entry of the table of kernels, at every instruction set that this
 * processor has: is it right, and, with --bench, how fast.
 *
 *   test_kernels                      the tests
 *   test_kernels --bench [PATTERN]    measures what has PATTERN in its line; all without one
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/bench.h"
#include "kernels/checks.h"
#include "support/kernel_trials.h"

static int run_checks(void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(rows_times_in_out_weights_are_right_and_the_same_bits_in_any_company),
    cmocka_unit_test(rows_times_out_in_weights_are_right_and_the_same_bits_in_any_company),
    cmocka_unit_test(what_is_not_finite_shows_in_all_of_its_row_or_column_and_in_no_other),
    cmocka_unit_test(every_half_is_multiplied_as_the_number_that_it_is),
    cmocka_unit_test(rows_times_a_strip_are_right_and_the_same_bits_in_any_company),
    cmocka_unit_test(what_is_not_finite_in_a_strip_shows_in_its_row_or_column_and_in_no_other),
    cmocka_unit_test(weights_widened_before_give_the_same_bits),
    cmocka_unit_test(strips_are_as_wide_as_they_may_be),
    cmocka_unit_test(packed_rows_stand_in_the_order_of_the_sums),
    cmocka_unit_test(rows_times_packed_weights_are_right_and_the_same_bits_in_any_company),
    cmocka_unit_test(the_sums_of_blocks_are_exact_whatever_their_numbers),
    cmocka_unit_test(a_scale_that_is_not_finite_shows_in_its_row_or_column_and_in_no_other),
    cmocka_unit_test(pairs_have_two_inputs_of_each_column_side_by_side),
    cmocka_unit_test(bf16_rows_times_bf16_weights_are_right_and_the_same_bits_in_any_company),
    cmocka_unit_test(what_is_not_finite_in_bf16_shows_in_its_row_or_column_and_in_no_other),
    cmocka_unit_test(elements_widen_to_the_floats_that_they_are),
    cmocka_unit_test(floats_round_to_the_nearest_element_and_ties_to_even),
    cmocka_unit_test(every_half_survives_and_what_is_between_goes_to_the_nearer),
    cmocka_unit_test(rows_are_rounded_to_int8_by_the_greatest_of_each_block),
    cmocka_unit_test(halves_are_rounded_to_the_even_integer),
    cmocka_unit_test(rounded_rows_are_widened_in_the_order_of_their_products),
    cmocka_unit_test(a_block_that_is_not_finite_gets_the_scale_nan),
    cmocka_unit_test(weights_are_packed_to_their_nearest_and_no_other_block_is_touched),
    cmocka_unit_test(a_column_that_is_not_finite_gets_a_scale_that_is_not),
    cmocka_unit_test(packed_weights_are_unpacked_to_the_numbers_that_they_are),
    cmocka_unit_test(scores_are_the_products_of_queries_with_keys),
    cmocka_unit_test(what_is_not_finite_in_a_key_or_query_shows_in_its_scores_alone),
    cmocka_unit_test(softmax_makes_weights_of_the_scores_that_a_row_sees),
    cmocka_unit_test(weighted_sums_of_values_are_added_to_what_was_there),
    cmocka_unit_test(a_value_that_is_not_finite_shows_in_its_place_of_rows_that_see_it),
    cmocka_unit_test(a_layer_norm_has_mean_0_and_variance_1_before_weight_and_bias),
    cmocka_unit_test(what_is_not_finite_shows_in_all_of_its_norm),
    cmocka_unit_test(activations_are_what_their_papers_say_for_numbers_of_all_sizes),
    cmocka_unit_test(exponentials_and_their_sum_are_right_in_place_too),
    cmocka_unit_test(the_sums_for_entropy_are_right_where_logits_are_minus_infinity_too),
    cmocka_unit_test(sums_over_a_million_logits_are_as_exact),
    cmocka_unit_test(the_maximum_is_the_greatest),
    cmocka_unit_test(one_number_that_is_none_makes_the_maximum_one_wherever_it_stands),
    cmocka_unit_test(the_maximum_of_minus_infinities_is_one),
    cmocka_unit_test(the_first_of_equal_ones_is_found_wherever_it_stands),
    cmocka_unit_test(those_strictly_greater_are_counted),
    cmocka_unit_test(adding_and_scaling_give_the_only_bits_there_are),
    cmocka_unit_test(those_greater_are_found_in_their_order_until_there_is_no_room),
    cmocka_unit_test(a_single_one_is_found_wherever_it_stands),
    cmocka_unit_test(the_weights_of_those_greater_are_added_exactly),
    cmocka_unit_test(weights_at_every_temperature_are_right_and_their_sum_is),
    cmocka_unit_test(the_best_one_weighs_1_and_no_other_more),
    cmocka_unit_test(every_entry_was_tried_at_every_instruction_set),
    cmocka_unit_test(every_set_has_what_the_scalar_one_has),
    cmocka_unit_test(the_table_in_use_is_that_of_this_processor),
    cmocka_unit_test(without_any_instruction_set_it_is_the_scalar_one),
#if defined(__x86_64__)
    cmocka_unit_test(capable_processors_get_functions_of_their_own),
#endif
  };
  return cmocka_run_group_tests(tests, begin_kernel_trials, end_kernel_trials);
}

int main(int argc, char **argv)
{
  if (argc == 1)
    return run_checks();
  if (argc <= 3 && strcmp(argv[1], "--bench") == 0)
    return run_benchmarks(argc == 3 ? argv[2] : "");
  fprintf(stderr, "usage: %s [--bench [PATTERN]]\n", argv[0]);
  return 2;
}
