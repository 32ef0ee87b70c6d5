// What modified families share: they hold a family, ask it for all its derivatives on blocks of rows of unit weight,
// and compose what they need. The row's weight multiplies the result.
//
// A prepared row has the base's response; where the base's weight holds trials they go to the second number, since the
// weight is the row's own.
#pragma once

#include "family/modified/chain.hpp"

namespace multilevel::family {

/// Some rows of a block, side by side.
struct Picked {
  int n = 0;
  int row[block_rows];
  alignas(64) double eta[block_rows];
  double response[block_rows], second[block_rows], unit[block_rows], weight[block_rows];
  double parameter[few_phi][block_rows];
  Phi phi;

  /// Takes those rows of the block from `first` on that are of a kind.
  void take(const Rows& rows, int first, const int* kinds, int n_rows, int kind, int n_phi);
};

class Modified : public Family {
 public:
  std::string name() const override { return base_->name(); }
  std::string link() const override { return base_->link(); }
  Support support() const override { return base_->support(); }
  std::string reference() const override { return base_->reference(); }
  std::vector<Parameter> parameters() const override { return base_->parameters(); }
  bool mass_at_zero() const override { return base_->mass_at_zero(); }

  bool two_numbers() const override { return base_->two_numbers() || trials_are_weight_; }
  Observation prepare(double y, double second, double prior_weight, double* constant) const override;

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override;
  void expected_information(const Rows& rows, double* out) const override;

  double start_eta(const Observation& row) const override { return base_->start_eta(base_row(row)); }
  void start_phi(double mean_square, double* phi) const override { base_->start_phi(mean_square, phi); }
  std::vector<std::vector<double>> other_places(const double* phi) const override { return base_->other_places(phi); }
  bool has_cliffs(const double* phi) const override { return base_->has_cliffs(phi); }
  std::string trouble(const double* phi) const override { return base_->trouble(phi); }
  bool log_concave() const override { return false; }

  double mean(double eta) const override { return base_->mean(eta); }
  double link_of_mean(double mu) const override { return base_->link_of_mean(mu); }
  double variance(double mu, const double* phi) const override { return base_->variance(mu, phi); }
  double dispersion(const double* phi) const override { return base_->dispersion(phi); }
  double unit_deviance(double y, double mu, const double* phi) const override;

 protected:
  /// `n_more` parameters follow the base's.
  Modified(std::unique_ptr<Family> base, int n_more)
      : base_(std::move(base)),
        n_base_(base_->n_phi()),
        n_all_(n_base_ + n_more),
        trials_are_weight_(base_->support() == Support::trials && !base_->two_numbers()) {}

  // Rows of a kind are worked on together: here zeros, and the others.
  enum { zeros, others };
  virtual int n_kinds() const { return 2; }
  virtual int kind_of(const Observation& row) const { return row.response == 0.0 ? zeros : others; }

  /// All derivatives of picked rows of a kind, with unit weights.
  virtual void picked_derivatives(Order order, const Picked& rows, int kind, BlockDerivatives& out) const = 0;
  virtual void picked_information(const Picked& rows, int kind, double* out) const = 0;

  /// The base's derivatives at the rows' own response, or at zero.
  void base_derivatives(Order order, const Picked& rows, bool at_zero, BlockDerivatives& out) const;
  void base_information(const Picked& rows, double* out) const;
  /// A prepared row as the base has it, with unit weight.
  Observation base_row(const Observation& row) const {
    return {row.response, row.second, trials_are_weight_ ? row.second : 1.0};
  }
  /// The supremum of a row of unit weight, as closely as can be.
  virtual double best(const Observation& row, const double* phi) const { return supremum(row, phi); }
  /// One row's value and its first two derivatives by eta, with unit weight.
  struct Point {
    double value, d1, d2;
  };
  Point at(const Observation& row, double eta, const double* phi) const;
  /// The same of the base.
  Point base_at(const Observation& row, double eta, const double* phi) const;
  /// log P(0) of the base at eta.
  double log_zero(double eta, const double* phi, double second) const;

  /// Calls visit(kind, picked rows, first row of the block) for the rows of each kind, block by block.
  template <class Visit>
  void by_kind(const Rows& rows, Visit visit) const;

  std::unique_ptr<Family> base_;
  int n_base_, n_all_;
  bool trials_are_weight_;
};

/// Adds sign log(1 - exp(u)) to a density that is given, u < 0: of rows without zeros sign = -1, and u is the log
/// probability of zero.
void add_log_complement(Order order, int n, int n_phi, double sign, const BlockDerivatives& u,
                        BlockDerivatives& density);
/// The expected information of such rows, given the base's.
void truncated_information(int n, const BlockDerivatives& u, double* information);

/// Mean and variance of what is left of a response without its zeros.
struct Moments {
  double mean, variance;
};
Moments without_zeros(const Moments& all, double log_zero);

}  // namespace multilevel::family
