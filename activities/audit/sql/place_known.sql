-- Up to which checkpoint each place has them.
SELECT place, number FROM checkpoint_place
