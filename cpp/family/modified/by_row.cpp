// Rows of several kinds, each with a family of its own: joint models of outcomes of different kinds. The number of a
// row's kind is the first parameter, which is given; the parameters of the members follow, one member after the other.
//
// The rows of a kind within a block are worked on together, by one call of their member. Derivatives by the kind, and
// by the parameters of other members, are zero.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "family/modified/make.hpp"
#include "family/modified/modified.hpp"

namespace multilevel::family {

namespace {

class ByRow final : public Family {
 public:
  ByRow(const std::vector<std::string>& names, std::vector<std::shared_ptr<const Family>> members)
      : members_(std::move(members)) {
    parameters_.push_back({"kind", "the number of a row's kind, whose family it has"});
    parameters_[0].scale = Scale::plain;
    parameters_[0].part = "kind";
    for (std::size_t k = 0; k < members_.size(); ++k) {
      first_.push_back(static_cast<int>(parameters_.size()));
      for (Parameter own : members_[k]->parameters()) {
        own.name = names[k] + ": " + own.name;
        own.part = names[k] + ": " + own.part;
        parameters_.push_back(std::move(own));
      }
    }
  }

  std::string name() const override { return "mixed"; }
  std::string link() const override { return "by kind"; }
  Support support() const override { return Support::by_row; }
  std::string reference() const override {
    return "Rabe-Hesketh, Skrondal and Pickles (2004), Psychometrika 69, 167-190";
  }
  std::vector<Parameter> parameters() const override { return parameters_; }

  int n_members() const override { return static_cast<int>(members_.size()); }
  const Family& member(int kind) const override { return *members_[static_cast<std::size_t>(kind)]; }
  int first_phi(int kind) const override { return first_[static_cast<std::size_t>(kind)]; }

  bool two_numbers() const override { return any(&Family::two_numbers); }
  bool log_concave() const override {
    return !any([](const Family& own) { return !own.log_concave(); });
  }
  bool far_modes() const override { return any(&Family::far_modes); }
  bool levels_off() const override { return any(&Family::levels_off); }
  Observation prepare(double, double, double, double*) const override { return asked_of_a_member<Observation>(); }
  double start_eta(const Observation&) const override { return asked_of_a_member<double>(); }
  double mean(double) const override { return asked_of_a_member<double>(); }
  double link_of_mean(double) const override { return asked_of_a_member<double>(); }

  void derivatives(Order order, const Rows& rows, const RowDerivatives& out) const override {
    const int n_phi = static_cast<int>(parameters_.size()), by_phi = BlockDerivatives::highest_by_phi(order),
              by_pair = BlockDerivatives::highest_by_pair(order);
    if (order != Order::step) {
      for (int r = 0; r < n_phi; ++r)
        for (int a = 0; a <= by_phi; ++a) clear(rows.n, out.phi[r][a]);
      for (int pair = 0; pair < phi_pair(n_phi, 0); ++pair)
        for (int a = 0; a <= by_pair; ++a) clear(rows.n, out.phi_phi[pair][a]);
    }
    BlockDerivatives result;
    by_kind(rows, [&](int kind, const Picked& picked, const Rows& own, int first) {
      const Family& family = member(kind);
      const int n_own = family.n_phi(), from = first_phi(kind);
      family.derivatives(order, own, result.arrays(order, n_own));
      scatter(picked, result.value, out.value, first);
      for (int a = 0; a < BlockDerivatives::highest(order); ++a) scatter(picked, result.eta[a], out.eta[a], first);
      if (order == Order::step) return;
      for (int r = 0; r < n_own; ++r) {
        for (int a = 0; a <= by_phi; ++a) scatter(picked, result.phi[r][a], out.phi[from + r][a], first);
        for (int s = 0; s <= r; ++s)
          for (int a = 0; a <= by_pair; ++a)
            scatter(picked, result.phi_phi[phi_pair(r, s)][a], out.phi_phi[phi_pair(from + r, from + s)][a], first);
      }
    });
  }

  void expected_information(const Rows& rows, double* out) const override {
    double result[block_rows];
    by_kind(rows, [&](int kind, const Picked& picked, const Rows& own, int first) {
      member(kind).expected_information(own, result);
      scatter(picked, result, out, first);
    });
  }

  std::vector<std::vector<double>> other_places(const double* phi) const override {
    std::vector<std::vector<double>> found;
    for (int kind = 0; kind < n_members(); ++kind)
      for (const auto& place : member(kind).other_places(phi + first_phi(kind))) {
        found.emplace_back(phi, phi + n_phi());
        std::copy(place.begin(), place.end(), found.back().begin() + first_phi(kind));
      }
    return found;
  }

  bool has_cliffs(const double* phi) const override {
    for (int kind = 0; kind < n_members(); ++kind)
      if (member(kind).has_cliffs(phi + first_phi(kind))) return true;
    return false;
  }
  std::string trouble(const double* phi) const override {
    for (int kind = 0; kind < n_members(); ++kind)
      if (const std::string own = member(kind).trouble(phi + first_phi(kind)); !own.empty()) return own;
    return "";
  }

  double supremum(const Observation& row, const double* phi) const override {
    return own(phi).supremum(row, own_phi(phi));
  }
  double variance(double mu, const double* phi) const override { return own(phi).variance(mu, own_phi(phi)); }
  double variance_ratio(double trials, const double* phi) const override {
    return own(phi).variance_ratio(trials, own_phi(phi));
  }
  double dispersion(const double* phi) const override { return own(phi).dispersion(own_phi(phi)); }
  double response_mean(double eta, const double* phi, double second) const override {
    return own(phi).response_mean(eta, own_phi(phi), second);
  }
  double response_variance(double eta, const double* phi, double second) const override {
    return own(phi).response_variance(eta, own_phi(phi), second);
  }
  double unit_deviance(double y, double mu, const double* phi) const override {
    return own(phi).unit_deviance(y, mu, own_phi(phi));
  }

 private:
  template <class Question>
  bool any(Question question) const {
    return std::any_of(members_.begin(), members_.end(), [&](const auto& own) { return std::invoke(question, *own); });
  }
  template <class Answer>
  [[noreturn]] static Answer asked_of_a_member() {
    throw std::logic_error("a family by row is asked what its members know");
  }
  static void clear(int n, double* to) {
    if (to) std::fill(to, to + n, 0.0);
  }
  static void scatter(const Picked& rows, const double* from, double* to, int first) {
    if (!to) return;
    for (int k = 0; k < rows.n; ++k) to[first + rows.row[k]] = from[k];
  }

  /// The nearest one, so that differences by the parameter are zero.
  int kind_of(double first_parameter) const {
    return std::clamp(static_cast<int>(std::lround(first_parameter)), 0, n_members() - 1);
  }
  const Family& own(const double* phi) const { return member(kind_of(phi[0])); }
  const double* own_phi(const double* phi) const { return phi + first_phi(kind_of(phi[0])); }

  /// Calls visit(kind, picked, rows of the member, first row of the block) for the rows of each kind, block by block.
  template <class Visit>
  void by_kind(const Rows& rows, Visit visit) const {
    for (int first = 0; first < rows.n; first += block_rows) {
      const int n = std::min(block_rows, rows.n - first);
      int kinds[block_rows];
      for (int j = 0; j < n; ++j) kinds[j] = kind_of(rows.data.phi.at(0, first + j));
      for (int kind = 0; kind < n_members(); ++kind) {
        const int n_own = member(kind).n_phi(), from = first_phi(kind);
        Picked picked;
        for (int j = 0; j < n; ++j)
          if (kinds[j] == kind) pick(rows, first + j, from, n_own, picked).row[picked.n++] = j;
        if (picked.n == 0) continue;
        const double* second = rows.data.second ? picked.second : nullptr;
        visit(kind, picked, {picked.n, picked.eta, {picked.response, second, picked.weight, picked.phi}}, first);
      }
    }
  }

  /// Copies a row, with `n_own` parameters from `from` on, to the next place.
  static Picked& pick(const Rows& rows, int i, int from, int n_own, Picked& picked) {
    const int n = picked.n;
    picked.eta[n] = rows.eta[i];
    picked.response[n] = rows.data.response[i];
    if (rows.data.second) picked.second[n] = rows.data.second[i];
    picked.weight[n] = rows.data.weight[i];
    for (int r = 0; r < n_own; ++r) {
      picked.phi.step[r] = rows.data.phi.step[from + r];
      picked.parameter[r][n] = rows.data.phi.at(from + r, i);
      picked.phi.value[r] = picked.phi.step[r] ? picked.parameter[r] : rows.data.phi.value[from + r];
    }
    return picked;
  }

  std::vector<std::shared_ptr<const Family>> members_;
  std::vector<Parameter> parameters_;
  std::vector<int> first_;
};

}  // namespace

std::shared_ptr<Family> make_by_row(const std::vector<std::string>& names,
                                    const std::vector<std::shared_ptr<const Family>>& members) {
  if (members.size() < 2 || names.size() != members.size())
    throw std::invalid_argument("a family by row needs two kinds or more, each with a name and a family");
  int n_phi = 1;
  for (const auto& own : members) {
    if (own->support() == Support::categories || own->support() == Support::by_row)
      throw std::invalid_argument("family '" + own->name() + "' cannot be that of a kind of rows");
    if (own->is_even())
      throw std::invalid_argument("the " + own->link() +
                                  " link gives eta and -eta one mean, and cannot be among others");
    n_phi += own->n_phi();
  }
  if (n_phi > few_phi)
    throw std::invalid_argument("the families of all kinds have " + std::to_string(n_phi - 1) +
                                " parameters; at most " + std::to_string(few_phi - 1) + " can be");
  return std::make_shared<ByRow>(names, members);
}

}  // namespace multilevel::family
