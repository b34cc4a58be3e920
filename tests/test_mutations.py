"""The tests can fail: each way of breaking the library turns the tests named here red."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import mutations

ROOT = Path(__file__).parents[1]
CONTRACT, CLAIMS = "tests/test_contract.py", "tests/methods/test_dcgan_features.py"
SUPERVISED, MGAN = "tests/methods/test_supervised.py", "tests/methods/test_mgan.py"
BIGAN, PRODUCTS = "tests/methods/test_bigan.py", "tests/nn/test_conv.py"
AUTOENCODER, DANN = "tests/methods/test_autoencoder.py", "tests/methods/test_dann.py"
CRAFTED, CRITICS = "tests/test_crafted.py", "tests/test_critics.py"
REGRESSOR = "tests/methods/test_latent_regressor.py"
# mutation -> the test that must notice
NOTICED_BY = {
    "swapped_labels": f"{CLAIMS}::test_generated_rows_match_the_data",
    "generator_wants_to_lose": f"{CLAIMS}::test_generated_rows_match_the_data",
    "frozen_generator": f"{CONTRACT}::test_training_moves_every_network_and_untrained_is_its_start",
    "batch_norm_left_in_training_mode":
        f"{CONTRACT}::test_transform_does_not_depend_on_the_other_rows",
    "batch_norm_measured_on_generated_rows":
        f"{CONTRACT}::test_batch_norm_has_the_statistics_of_the_real_rows",
    "averages_begin_at_untrained_weights":
        "tests/test_going_on.py::test_averages_asked_for_later_begin_at_the_trained_weights",
    "batch_norm_never_measured": f"{CLAIMS}::test_statistics_are_those_of_the_real_rows",
    "shuffled_rows_in_transform":
        f"{CONTRACT}::test_transform_does_not_depend_on_the_other_rows",
    "untrained_network_passed_off_as_trained":
        f"{CLAIMS}::test_trained_features_beat_untrained_ones",
    "labels_reach_the_extractor": f"{CONTRACT}::test_labels_are_ignored",
    "global_seed_used":
        f"{CONTRACT}::test_same_seed_same_bits_and_the_global_state_is_left_alone",
    "encoder_wants_its_pairs_told_apart":
        f"{BIGAN}::test_encoder_and_generator_invert_each_other",
    "frozen_encoder": f"{BIGAN}::test_encoder_and_generator_invert_each_other",
    "autoencoder_reproduces_other_rows": f"{AUTOENCODER}::test_rows_come_back",
    "regressor_taught_other_codes": f"{REGRESSOR}::test_encoder_inverts_the_generator",
    "discriminator_begins_with_opinions": f"{REGRESSOR}::test_losses_start_at_log_2",
    "labels_shuffled_within_the_batch":
        f"{SUPERVISED}::test_five_steps_equal_a_loop_written_by_hand",
    "every_row_by_the_first_generator": f"{MGAN}::test_components",
    "one_optimizer_for_both_losses": f"{MGAN}::test_steps_equal_a_loop_written_by_hand",
    "null_and_row_space_swapped": f"{MGAN}::test_null_and_row_parts",
    "terms_left_out_of_the_loss":
        f"{CRITICS}::test_five_steps_with_lazy_r1_equal_a_loop_written_by_hand",
    "critics_see_samples_as_they_are":
        f"{CRITICS}::test_everything_that_a_critic_sees_in_training_is_augmented",
    "heads_of_a_trunk_swapped":
        "tests/nn/test_trunk.py::test_several_heads_at_once_run_shared_layers_once",
    "trunk_helps_the_domain_head": f"{DANN}::test_two_moons_are_carried_to_turned_ones",
    "labels_of_targets_are_read": f"{DANN}::test_labels_of_targets_change_nothing",
    "encoder_helps_its_adversary":
        "tests/methods/test_disentangled.py::test_content_and_domain_come_apart",
    "domains_drawn_as_they_come":
        "tests/engine/test_domains.py::test_every_row_of_an_epoch_has_all_domains",
    "weights_cast_once_and_for_all": f"{PRODUCTS}::test_a_moved_weight_is_cast_anew",
    "phases_with_their_taps_unreversed":
        f"{PRODUCTS}::test_values_and_gradients_are_those_of_the_stock_layers",
    "weight_norm_starts_without_noise":
        "tests/nn/test_norms.py::test_outputs_begin_with_variance_one_as_training_sees_them",
    "threads_do_not_take_turns":
        "tests/test_user_networks.py::"
        "test_layers_that_draw_repeat_in_threads_and_leave_the_global_state",
    "collapsed_samples_look_diverse":
        "tests/engine/test_divergence.py::test_a_generator_that_makes_one_image_is_noticed",
    "best_epoch_keeps_later_optimizers":
        "tests/engine/test_best_epoch.py::test_a_warm_start_goes_on_from_the_best_epoch",
    "best_epoch_is_never_kept":
        "tests/engine/test_best_epoch.py::test_a_fit_that_crashed_resumes_and_ends_as_if_it_had_not",
    "digests_not_compared": f"{CRAFTED}::test_a_flipped_bit_in_a_weight_is_noticed",
    "slots_not_compared": f"{CRAFTED}::test_slots_that_do_not_fit_are_refused",
    "attributes_not_compared": f"{CRAFTED}::test_attributes_that_are_not_declared_are_refused",
}  # fmt: skip


def run(test, mutation=""):
    env = os.environ | {"SKGAN_MUTATION": mutation, "OMP_NUM_THREADS": "1"}
    env.pop("PYTEST_XDIST_WORKER", None)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "tests.mutations", "-m", ""]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", test], cwd=ROOT, env=env, capture_output=True
    )
    return done.returncode, done.stdout.decode()[-2000:]


def test_every_mutation_is_expected_to_be_noticed():
    known = {k for k, v in vars(mutations).items() if callable(v) and not k.startswith("pytest")}
    assert known == set(NOTICED_BY)


@pytest.mark.slow
@pytest.mark.parametrize("test", sorted(set(NOTICED_BY.values())))
def test_green_without_a_mutation(test):
    code, out = run(test)
    assert code == 0, out


@pytest.mark.slow
@pytest.mark.parametrize("mutation", NOTICED_BY)
def test_red_with_it(mutation):
    code, out = run(NOTICED_BY[mutation], mutation)
    # By what it says, not because the mutation finds nothing to break.
    assert code == 1 and "AssertionError" in out, out
