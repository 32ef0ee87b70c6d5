// The immutable model: rows sorted by cluster into panels, columns scaled, and the layout of the parameters.
//
// Rows are sorted by the levels of the leading grouping factor, the one with the most random effects; the rows of such
// a level are a cluster. With one grouping factor the clusters are independent of each other; with several the others
// tie them together. A panel is a run of whole clusters of about a thousand rows, its columns one after the other, so
// that an evaluation reads memory once and from front to back. A chunk is a run of panels, the unit of parallel work.
// All of it depends on the data alone, never on the number of threads.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "covariance/structure.hpp"
#include "family/family.hpp"
#include "model/source.hpp"
#include "model/user_scale.hpp"
#include "numeric/compensated_sum.hpp"

namespace multilevel::model {

struct TermSpecification {
  int grouping_factor = 0;
  std::vector<Source> columns;
  std::string structure;
  int variable = 0;  ///< what it belongs to: 0 is the mean, r + 1 the family's parameter r
};

/// What makes one of the family's parameters, row by row: columns, and what is added to them; or a value that is given.
struct PhiSpecification {
  std::vector<Source> fixed;
  const double* offset = nullptr;
  std::optional<double> value;
};

struct Specification {
  std::int64_t n_rows = 0;
  /// Of a family of ordered categories, what makes its thresholds: a row for each, whose products with m coefficients
  /// they are. The columns of the family's first parameter, of which the first is the constant, multiply these: each
  /// column has m coefficients of its own.
  Eigen::MatrixXd thresholds;
  std::string family, link;
  std::string zero;                                  ///< the family's zero part: empty, "inflation" or "hurdle"
  std::shared_ptr<const family::Family> own_family;  ///< in place of one that these three name
  const double* second = nullptr;                    ///< the response's second number, trials say; null: one each
  const double* weights = nullptr;                   ///< prior weights; null: one each
  const double* offset = nullptr;
  std::vector<Source> fixed;
  /// Per fixed column, the one that takes up a shift of it, as an intercept does, or -1; empty: no column does so.
  std::vector<int> centres;
  /// Of choices, the set of each row, from 0 on. Null: rows are independent given the random effects.
  const std::int32_t* sets = nullptr;
  std::vector<PhiSpecification> phi;       ///< of each of the family's parameters; empty: one number each
  std::vector<const std::int32_t*> codes;  ///< per grouping factor, the level of each row
  std::vector<std::int32_t> n_levels;
  std::vector<TermSpecification> terms;
};

struct Panel {
  int first_cluster, last_cluster;  ///< clusters [first, last)
  std::int64_t first_row;           ///< among the sorted rows
  int n_rows;
};

struct Chunk {
  int first_panel, last_panel;
};

/// One random-effects term: its columns are [first, first + q) of the random columns.
struct Term {
  int factor, first, q;
  const covariance::Structure* structure;
  int variable;  ///< see TermSpecification
};

/// One of the family's parameters: the coefficients [first, last) among those of all of them; none where it is given.
struct PhiPart {
  int first, last;
  bool constant;  ///< one number for all rows, which is a coefficient
  double given;   ///< in all rows, before the columns
};

/// Where a coefficient of the family's parameters stands: in which of them, and with which column; null is a constant
/// part.
struct PhiUse {
  int part = 0;
  const double* column = nullptr;
};

/// All places of a coefficient. Only thresholds have several: a category's upper end is the lower end of the next one,
/// and where all thresholds are parameters of the family, one that ties them together is in many.
struct PhiUses {
  std::array<PhiUse, family::max_phi> use;
  int n = 1;

  const PhiUse* begin() const { return use.data(); }
  const PhiUse* end() const { return use.data() + n; }
  PhiUses from(std::ptrdiff_t row) const {
    PhiUses rest = *this;
    for (auto& own : rest.use)
      if (own.column) own.column += row;
    return rest;
  }
};

/// One grouping factor: the terms on it have the random columns [first, first + q), and effect a of level l stands at
/// offset + l * q + a among the random effects of all factors.
struct Factor {
  int n_levels, first, q;
  std::int64_t offset;
  std::int64_t covariance_offset;  ///< the same for q x q matrices per level
};

/// Two grouping factors, each level of the inner one within a level of the outer one.
struct Nesting {
  int inner = -1, outer = -1;
  std::vector<int> first_unit;   ///< level c of the outer factor holds the clusters [first_unit[c], first_unit[c + 1])
  std::vector<int> outer_level;  ///< level of outer cluster c
};

/// The response as the likelihood takes it; a model can be fitted to many of these.
struct Response {
  std::unique_ptr<double[]> value, second, weight;  ///< sorted rows, see family::Observation; second may be null
  numeric::CompensatedSum constant;                 ///< sum of what no parameter changes
  double shift = 0.0, scale = 1.0;                  ///< value = (y - offset - shift) * scale where the family is linear
  /// Per threshold's coefficient, its columns in upper and lower ends; where all thresholds are parameters of the
  /// family, its columns in each of them.
  std::unique_ptr<double[]> ends;
  Eigen::VectorXd thresholds;  ///< coefficients that give the frequencies of the categories

  /// From a sorted row on, with these parameters of the family.
  family::Observations from(std::int64_t row, const family::Phi& phi) const {
    return {value.get() + row, second ? second.get() + row : nullptr, weight.get() + row, phi};
  }
};

class Model {
 public:
  explicit Model(const Specification& specification, int threads);

  const family::Family& family() const { return *family_; }

  std::int64_t n_rows() const { return n_rows_; }
  /// What the data have of responses: a set of alternatives is one.
  std::int64_t n_responses() const { return has_sets() ? static_cast<std::int64_t>(set_start_.size()) - 1 : n_rows_; }
  int n_clusters() const { return static_cast<int>(cluster_start_.size()) - 1; }
  int p() const { return static_cast<int>(fixed_.size()); }
  int q() const { return static_cast<int>(random_.size()); }
  int n_theta() const { return n_theta_; }
  /// The coefficients that make the family's parameters, part by part: the phi of psi. A constant part is one.
  int n_phi() const { return static_cast<int>(phi_.size()); }
  int n_parameters() const { return p() + n_theta() + n_phi(); }

  const std::vector<Panel>& panels() const { return panels_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }
  const std::vector<PhiPart>& phi_parts() const { return phi_parts_; }
  /// The coefficient that stands for a constant in one of them, from which other columns then are centred; or -1.
  int phi_intercept(int part) const { return phi_intercept_[static_cast<std::size_t>(part)]; }
  /// Whether this is a linear (mixed) model with one residual variance, to be estimated.
  bool is_linear() const { return family_->is_linear() && !phi_varies() && !several_predictors(); }
  bool phi_varies() const;
  /// Whether one point of quadrature gives the likelihood itself.
  bool is_exact() const { return q() == 0 || (family_->is_linear() && !several_predictors()); }
  /// Whether the family's parameters have random effects, too.
  bool several_predictors() const;
  const std::vector<Term>& terms() const { return terms_; }
  const std::vector<Factor>& factors() const { return factors_; }
  /// The factor that rows are sorted by.
  int leading() const { return leading_; }
  /// The level of the leading factor whose rows are this cluster.
  int cluster_level(int cluster) const {
    return cluster_level_.empty() ? cluster : cluster_level_[static_cast<std::size_t>(cluster)];
  }
  /// Per sorted row, the level of a factor that is not the leading one.
  const std::int32_t* levels(int factor) const { return levels_[static_cast<std::size_t>(factor)].data(); }
  /// Null unless there are two factors, one nested in the other.
  const Nesting* nesting() const { return nesting_.inner >= 0 ? &nesting_ : nullptr; }
  /// Random effects of all levels of all factors.
  std::int64_t n_modes() const {
    return factors_.empty() ? 0 : factors_.back().offset + std::int64_t{factors_.back().n_levels} * factors_.back().q;
  }
  std::int64_t n_mode_covariances() const {
    if (factors_.empty()) return 0;
    const Factor& last = factors_.back();
    return last.covariance_offset + std::int64_t{last.n_levels} * last.q * last.q;
  }
  std::int64_t cluster_start(int cluster) const { return cluster_start_[static_cast<std::size_t>(cluster)]; }
  int largest_cluster() const { return largest_cluster_; }
  /// The caller's position of a sorted row.
  std::int32_t caller_row(std::int64_t row) const { return order_[static_cast<std::size_t>(row)]; }
  /// Whether rows are alternatives of which one is chosen: sorted rows [set_start(s), set_start(s + 1)) are those of
  /// set s, and the sets of a cluster are [cluster_set(cluster), cluster_set(cluster + 1)).
  bool has_sets() const { return !set_start_.empty(); }
  /// Whether the rows of some set are in different levels of a grouping factor. The leading factor is never such a one:
  /// where all are, sets lead, a factor without random effects that stands after the others.
  bool sets_cross() const { return sets_cross_; }
  const std::int64_t* set_starts() const { return set_start_.data(); }
  std::int64_t set_start(int set) const { return set_start_[static_cast<std::size_t>(set)]; }
  int cluster_set(int cluster) const { return cluster_set_[static_cast<std::size_t>(cluster)]; }
  int largest_panel() const { return static_cast<int>(ones_.size()); }
  /// Columns of the fixed part that are linear combinations of earlier ones; they take no part.
  const std::vector<int>& redundant() const { return redundant_; }
  /// The same of the columns of one of the family's parameters.
  const std::vector<int>& phi_redundant(int part) const { return phi_redundant_[static_cast<std::size_t>(part)]; }
  bool has_intercept() const { return intercept_ >= 0; }
  /// Position of the constant column among the kept ones, or -1.
  int intercept() const { return intercept_; }

  const double* fixed_column(const Panel& panel, int k) const {
    return column(panel, fixed_[static_cast<std::size_t>(k)].slot);
  }
  const double* random_column(const Panel& panel, int a) const {
    return column(panel, random_[static_cast<std::size_t>(a)].slot);
  }
  /// Of coefficient g of the family's parameters, from the panel's first row.
  PhiUses phi_uses(const Panel& panel, const Response& response, int g) const {
    if (g < n_thresholds() && family_->all_thresholds()) return threshold_uses(panel, response, g);
    if (g < n_thresholds()) {
      const double* upper = response.ends.get() + 2 * g * n_rows_ + panel.first_row;
      return {{PhiUse{0, upper}, PhiUse{1, upper + n_rows_}}, 2};
    }
    const auto& own = phi_[static_cast<std::size_t>(g)];
    return {
        {PhiUse{phi_part_of_[static_cast<std::size_t>(g)], own.slot == no_slot ? nullptr : column(panel, own.slot)}},
        1};
  }
  /// Coefficients of the thresholds between ordered categories, the first of phi; each is in two of its parts.
  int n_thresholds() const { return static_cast<int>(thresholds_.cols()) * n_threshold_columns_; }
  int n_categories() const { return static_cast<int>(thresholds_.rows()) + 1; }
  /// The family's parameters that thresholds make, its first.
  int n_threshold_parts() const {
    return thresholds_.size() == 0 ? 0 : family_->all_thresholds() ? n_categories() - 1 : 2;
  }
  /// Whether some row can have both place a of coefficient g and place b of coefficient h.
  bool phi_meet(int g, int a, int h, int b) const {
    if (g >= n_thresholds() || h >= n_thresholds()) return true;
    const auto m = thresholds_.cols();
    if (family_->all_thresholds())
      return !family_->separate_thresholds() || threshold_part(g, a) == threshold_part(h, b);
    return meet_[static_cast<std::size_t>(((g % m) * 2 + a) * 2 * m + (h % m) * 2 + b)];
  }
  /// Where coefficient g has moved by so much and is that of the first item, the other items' move alike.
  void move_items(int g, double by, double* phi) const;
  /// The numbers of the rows' kinds, where kinds have families of their own; null elsewhere.
  const double* kinds(const Panel& panel) const {
    return family_->n_members() > 1 ? column(panel, phi_offset_slot_[0]) : nullptr;
  }
  /// Null where there is none.
  const double* offset(const Panel& panel) const {
    return offset_slot_ == no_slot ? nullptr : column(panel, offset_slot_);
  }

  /// The family's parameters of the rows [first, first + n) of a panel at these coefficients; those that differ from
  /// row to row are written to to[part].
  family::Phi phi_rows(const Panel& panel, const Response& response, int first, int n, const double* phi,
                       double* const* to) const;

  /// The same of one part that varies.
  void phi_part_rows(const Panel& panel, const Response& response, int part, int first, int n, const double* phi,
                     double* to) const;

  /// Throws std::invalid_argument when a value is not finite. `row_constants`, if not null, gets what the constant is
  /// the sum of, by sorted row.
  Response prepare(const double* y, int threads, double* row_constants = nullptr) const;

  UserScale user_scale(const Response& response) const;
  /// What random effects on the internal scale (of a level, all columns of all factors) are multiplied by to be on the
  /// user's: lower triangular, a block for each term. The stored columns are the user's times this, but for the
  /// response, which has no part in the random effects of the family's parameters.
  Eigen::MatrixXd random_basis(const Response& response) const;
  /// The largest squared cosine between two random columns of one factor that are not in the same unstructured term.
  double random_overlap() const { return random_overlap_; }
  /// Share of each random column's square that the other columns of its factor do not explain.
  const Eigen::VectorXd& random_left() const { return random_left_; }

  /// eta in the order of the caller's rows, offset included; `modes` (those of all factors) may be null: random effects
  /// at zero. User's scale.
  void linear_predictor(const double* beta, const double* modes, double* eta, int threads) const;

 private:
  static constexpr int ones_slot = -1, no_slot = -2;

  struct Column {
    int slot;
    double shift, scale;  ///< stored = (x - shift) * scale
    /// Of the column, not shifted itself, that the shift is a multiple of; none: of ones. Of an item's column in the
    /// thresholds that of the first item.
    int centre_slot = no_slot;
  };

  Specification with_sets(Specification specification);
  void lay_out_terms(const Specification& specification);
  void find_nesting(const Specification& specification);
  void sort_rows(const Specification& specification);
  void find_sets(const std::int32_t* sets);
  void cut_panels(bool grouped);
  void fill_columns(const Specification& specification, int threads);
  double column_size(const Source& source) const;
  void choose_basis(const Specification& specification);
  void combine_random_columns(const Panel& panel);
  void take_out_set_means(const Panel& panel, double* x) const;
  std::vector<double> stored_modes(const double* modes) const;
  int variable(int column) const;
  std::vector<int> drop_redundant(std::vector<Column>& columns, const Eigen::MatrixXd& gram,
                                  const std::vector<double>& raw_norm) const;
  double* stored(const Panel& panel, int slot) const {
    return storage_.get() + panel.first_row * n_slots_ + static_cast<std::int64_t>(slot) * panel.n_rows;
  }
  const double* column(const Panel& panel, int slot) const {
    return slot == ones_slot ? ones_.data() : stored(panel, slot);
  }
  double residual_norm(const std::vector<Column>& columns, int k, const std::vector<int>& kept,
                       Eigen::VectorXd coefficients, const Eigen::MatrixXd& gram) const;
  void add_gram(const Panel& panel, const std::vector<Column>& columns, Eigen::MatrixXd& gram) const;
  void centre_columns(const Specification& specification, std::vector<double>& raw_norm);
  std::vector<Column> plan_fixed(const std::vector<Source>& sources, int threads, bool centre,
                                 std::vector<double>& raw_norm);
  Column store(const Source& source, double shift, double scale);
  void lay_out_phi(std::vector<std::vector<Column>>& columns, const std::vector<std::vector<double>>& raw_norm,
                   std::vector<std::optional<double>> given);
  void lay_out_thresholds();
  PhiUses threshold_uses(const Panel& panel, const Response& response, int g) const;
  int threshold_part(int g, int place) const {
    return threshold_parts_[static_cast<std::size_t>(g) % threshold_parts_.size()][static_cast<std::size_t>(place)];
  }
  void set_scaled_columns(Response& response) const;
  void check_kinds() const;
  void set_ends(const double* y, Response& response, int threads) const;
  Eigen::VectorXd frequency_thresholds(const Response& response) const;
  std::vector<int> threshold_patterns(Eigen::MatrixXd& patterns) const;

  std::shared_ptr<const family::Family> family_;
  std::int64_t n_rows_;
  std::vector<std::int32_t> order_;  ///< sorted row -> the caller's row
  std::vector<std::int64_t> cluster_start_, set_start_;
  std::vector<int> cluster_set_;
  std::vector<bool> crossed_;  ///< of choices, the factors whose levels differ within a set
  bool sets_cross_ = false;
  int largest_cluster_ = 0;
  std::vector<Panel> panels_;
  std::vector<Chunk> chunks_;
  std::vector<Column> fixed_, random_, phi_;
  std::vector<PhiPart> phi_parts_;
  std::vector<std::vector<int>> phi_redundant_;
  std::vector<int> phi_intercept_, phi_offset_slot_;  ///< of each part; the intercept's coefficient, or -1
  std::vector<int> phi_part_of_;                      ///< of each coefficient
  Eigen::MatrixXd thresholds_;                        ///< see Specification
  int n_threshold_columns_ = 0;
  Eigen::VectorXd threshold_level_;  ///< coefficients that move all thresholds by one; empty where none do
  std::vector<bool> meet_;           ///< see phi_meet
  std::vector<std::vector<int>> threshold_parts_;  ///< where all are parameters: those that each coefficient is in
  std::vector<Source> stored_sources_;             ///< while the columns are being laid out
  std::vector<Column> plan_;
  Eigen::MatrixXd random_basis_;
  double random_overlap_ = 0.0;
  Eigen::VectorXd random_left_;
  std::vector<int> redundant_;
  int intercept_ = -1;
  std::vector<Term> terms_;
  std::vector<Factor> factors_;
  int leading_ = 0;
  Nesting nesting_;
  std::vector<int> cluster_level_;
  std::vector<std::vector<std::int32_t>> levels_;
  int n_theta_ = 0;
  int n_slots_ = 0, offset_slot_ = no_slot, second_slot_ = no_slot, weight_slot_ = no_slot;
  std::unique_ptr<double[]> storage_;
  std::vector<double> ones_;
};

}  // namespace multilevel::model
