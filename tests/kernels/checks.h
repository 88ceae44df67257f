/* checks.h - what must hold for the kernels: the tests of tests/kernels/, which test_kernels.c
 * runs. */
#ifndef TESTS_KERNELS_CHECKS_H
#define TESTS_KERNELS_CHECKS_H

/* products_stored.c */
void rows_times_in_out_weights_are_right_and_the_same_bits_in_any_company(void **state);
void rows_times_out_in_weights_are_right_and_the_same_bits_in_any_company(void **state);
void what_is_not_finite_shows_in_all_of_its_row_or_column_and_in_no_other(void **state);
void every_half_is_multiplied_as_the_number_that_it_is(void **state);

/* products_strip.c */
void rows_times_a_strip_are_right_and_the_same_bits_in_any_company(void **state);
void what_is_not_finite_in_a_strip_shows_in_its_row_or_column_and_in_no_other(void **state);
void weights_widened_before_give_the_same_bits(void **state);
void strips_are_as_wide_as_they_may_be(void **state);
void packed_rows_stand_in_the_order_of_the_sums(void **state);

/* products_packed.c */
void rows_times_packed_weights_are_right_and_the_same_bits_in_any_company(void **state);
void the_sums_of_blocks_are_exact_whatever_their_numbers(void **state);
void a_scale_that_is_not_finite_shows_in_its_row_or_column_and_in_no_other(void **state);

/* products_bf16.c */
void pairs_have_two_inputs_of_each_column_side_by_side(void **state);
void bf16_rows_times_bf16_weights_are_right_and_the_same_bits_in_any_company(void **state);
void what_is_not_finite_in_bf16_shows_in_its_row_or_column_and_in_no_other(void **state);

/* conversions.c */
void elements_widen_to_the_floats_that_they_are(void **state);
void floats_round_to_the_nearest_element_and_ties_to_even(void **state);
void every_half_survives_and_what_is_between_goes_to_the_nearer(void **state);

/* quantisers.c */
void rows_are_rounded_to_int8_by_the_greatest_of_each_block(void **state);
void halves_are_rounded_to_the_even_integer(void **state);
void rounded_rows_are_widened_in_the_order_of_their_products(void **state);
void a_block_that_is_not_finite_gets_the_scale_nan(void **state);
void weights_are_packed_to_their_nearest_and_no_other_block_is_touched(void **state);
void a_column_that_is_not_finite_gets_a_scale_that_is_not(void **state);
void packed_weights_are_unpacked_to_the_numbers_that_they_are(void **state);

/* attention.c */
void scores_are_the_products_of_queries_with_keys(void **state);
void what_is_not_finite_in_a_key_or_query_shows_in_its_scores_alone(void **state);
void softmax_makes_weights_of_the_scores_that_a_row_sees(void **state);
void weighted_sums_of_values_are_added_to_what_was_there(void **state);
void a_value_that_is_not_finite_shows_in_its_place_of_rows_that_see_it(void **state);

/* layer_norm.c */
void a_layer_norm_has_mean_0_and_variance_1_before_weight_and_bias(void **state);
void what_is_not_finite_shows_in_all_of_its_norm(void **state);

/* numbers.c */
void activations_are_what_their_papers_say_for_numbers_of_all_sizes(void **state);
void exponentials_and_their_sum_are_right_in_place_too(void **state);
void the_sums_for_entropy_are_right_where_logits_are_minus_infinity_too(void **state);
void sums_over_a_million_logits_are_as_exact(void **state);
void the_maximum_is_the_greatest(void **state);
void one_number_that_is_none_makes_the_maximum_one_wherever_it_stands(void **state);
void the_maximum_of_minus_infinities_is_one(void **state);
void the_first_of_equal_ones_is_found_wherever_it_stands(void **state);
void those_strictly_greater_are_counted(void **state);
void adding_and_scaling_give_the_only_bits_there_are(void **state);

/* select.c */
void those_greater_are_found_in_their_order_until_there_is_no_room(void **state);
void a_single_one_is_found_wherever_it_stands(void **state);
void the_weights_of_those_greater_are_added_exactly(void **state);
void weights_at_every_temperature_are_right_and_their_sum_is(void **state);
void the_best_one_weighs_1_and_no_other_more(void **state);

/* entries.c */
void every_entry_was_tried_at_every_instruction_set(void **state);
void every_set_has_what_the_scalar_one_has(void **state);
void the_table_in_use_is_that_of_this_processor(void **state);
void without_any_instruction_set_it_is_the_scalar_one(void **state);
void capable_processors_get_functions_of_their_own(void **state);

#endif
